# Arguments: an empty folder, the scratch folder, the interpreter, the folder it is installed in.
# Runs inside new user, mount, network, process and IPC namespaces. Whatever fails ends it with status 125.
fail() { echo "sandbox: $1" >&2; exit 125; }
root=$1 scratch=$2 python=$3 prefix=$4
mount -t tmpfs -o size=4m,mode=755 sandbox "$root" || fail 'no file system of its own'
# What the interpreter needs, to read only.
for dir in /usr /lib /lib64 /bin "$prefix"; do
    case "$dir/" in /usr/?*) continue ;; esac
    if [ -L "$dir" ]; then
        cp -P "$dir" "$root$dir" || fail "no link $dir"
    elif [ -d "$dir" ] && [ ! -e "$root$dir/." ]; then
        mkdir -p "$root$dir" && mount --bind "$dir" "$root$dir" || fail "no $dir"
        mount -o remount,bind,ro "$root$dir" || fail "$dir can be written to"
    fi
done
mkdir "$root/scratch" "$root/outside" && mount --bind "$scratch" "$root/scratch" || fail 'no scratch folder'
cd "$root" && pivot_root . outside || fail 'no root of its own'
umount -l /outside || fail 'the files outside are still there'
cd /scratch || fail 'no scratch folder'
# Once more a user namespace: in it the mounts above cannot be changed.
exec unshare --user --map-root-user "$python" -I -S main.py
