# Runs in the guest as centos: what a host with docker, podman, etcd and Cockpit is used for. The images tiny:1 of docker and podman are there.
set -u
fail() { echo "FAILED: $*"; exit 1; }
expect() { # expect TEXT COMMAND...: the command prints the text
    local text=$1 said; shift
    said=$("$@" 2>&1) || fail "$*: $said"
    case $said in *"$text"*) ;; *) fail "$*: expected $text, found $said" ;; esac
}
server='echo hello >/data/index.html; exec /bin/busybox httpd -f -p 80 -h /data'
for engine in docker podman; do
    run="sudo $engine run"
    $run -d --name web -p 8080:80 -v data:/data tiny:1 /bin/busybox sh -c "$server" >/dev/null || fail "$engine run -d"
    expect hello curl -s -m 60 --retry 10 --retry-all-errors http://127.0.0.1:8080/index.html
    expect printed $run --rm tiny:1 /bin/busybox echo printed
    expect inside sudo $engine exec web /bin/busybox echo inside
    expect web sudo $engine ps --format '{{.Names}}'
    # A volume that two containers share, as an engine makes it.
    expect hello $run --rm -v data:/data tiny:1 /bin/busybox cat /data/index.html
    expect copied sh -c "sudo $engine cp web:/data/index.html - >/dev/null && echo copied"
    sudo $engine network create exercise >/dev/null || fail "$engine network create"
    expect inet $run --rm --network exercise tiny:1 /bin/busybox ip address show
    sudo $engine network rm exercise >/dev/null || fail "$engine network rm"
    sudo $engine rm -f web >/dev/null 2>&1 || fail "$engine rm"
    sudo $engine volume rm data >/dev/null || fail "$engine volume rm"
done
said=$(sudo docker run --name talks tiny:1 /bin/busybox echo to-the-journal; sudo docker logs talks; sudo docker rm talks) || fail "docker logs: $said"
[ "$(printf '%s\n' "$said" | grep -c to-the-journal)" = 2 ] || fail "docker logs printed $said"
printf 'FROM tiny:1\nRUN ["/bin/busybox","touch","/built"]\n' >/tmp/Dockerfile
said=$(sudo docker build -q -t tiny:2 -f /tmp/Dockerfile /tmp 2>&1) || fail "docker build: $said"
expect built sudo docker run --rm tiny:2 /bin/busybox ls /
expect OK etcdctl put exercise done
expect done etcdctl get exercise --print-value-only
page() { curl -k -s -m 120 --retry 5 --retry-all-errors -o /dev/null -w '%{http_code}' "$@"; }
expect 200 page https://127.0.0.1:9090/
expect 200 page -u centos:centos https://127.0.0.1:9090/cockpit/login
expect 401 page -u centos:wrong https://127.0.0.1:9090/cockpit/login
expect Commit sudo atomic host status
expect refspec sudo ostree admin status
sudo systemctl restart docker containerd etcd || fail "a service does not start again"
sudo systemctl daemon-reload
sudo systemctl start systemd-tmpfiles-clean.service fstrim.service || fail "the housekeeping of timers"
echo exercised
