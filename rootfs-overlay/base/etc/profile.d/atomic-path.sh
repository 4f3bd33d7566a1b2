# Administrators log in as an ordinary user: sysctl, ip and nft are found by their names.
case ":$PATH:" in
    *:/usr/sbin:*) ;;
    *) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" ;;
esac
