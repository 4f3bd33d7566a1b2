# Where there is a docker: a container of the host's own shell writes into a volume and stays.
if command -v docker >/dev/null && systemctl is-active --quiet docker.service docker.socket; then
    folder=$(mktemp -d)
    for program in bash sleep cat; do
        path=$(command -v "$program")
        install -D "$path" "$folder/bin/$program"
        ldd "$path" | grep -o '/[^ ]*' | while read -r library; do install -D "$library" "$folder$library"; done
    done
    tar -C "$folder" -c . | docker import - atomic-proof:1 >/dev/null
    docker run -d --name atomic-proof --restart always -v atomic-proof:/data atomic-proof:1 \
        /bin/bash -c 'echo kept >/data/file; exec sleep 1000000' >/dev/null
fi
