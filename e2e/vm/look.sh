# Says what a machine is like, a line each thing. Run as root. What changes by
# itself (logs, caches of the system, the state of systemd, what each boot chooses)
# is left out.
set -eu
export LC_ALL=C
lines() { sed "s/^/$1 /"; }

# But for kernel threads, which are in no group, and whoever is logged in.
ps -e -o cgroup:200= -o args= | sed -n 's/^0::\(\/[^ ]\+\) *\(.*\)/process in \1: \2/p' | grep -v 'in /user.slice' | sort
findmnt --raw --noheadings --output TARGET,FSTYPE | grep -v ^/run/user/ | lines mount
ip -brief link | sed 's/ UNKNOWN\| UP\| DOWN//' | awk '{print $1}' | lines link
ip -oneline address | sed 's/ *valid_lft.*//;s/\\//' | cut -d' ' -f2- | lines address
ip route show table all | sed 's/ expires .*//' | lines route
ip rule | lines rule
nft list ruleset | lines nftables
ss --listening --tcp --udp --numeric --no-header | awk '{print $1, $5}' | lines listener
find /sys/fs/cgroup -maxdepth 2 -type d -not -path '*/user.slice/*' | lines cgroup
lines 'root cgroup hands on' </sys/fs/cgroup/cgroup.subtree_control
lines apparmor </sys/kernel/security/apparmor/profiles
getent passwd | lines user
getent group | lines group
dpkg-query --show | tr '\t' ' ' | lines package
sysctl --all 2>/dev/null | grep -vE '^(fs\.(dentry-state|file-nr|inode-nr|inode-state|quota)|kernel\.(random\.|ns_last_pid|pty\.nr|perf_event_max)|net\.netfilter\.nf_conntrack_(count|buckets)|net\.ipv4\.tcp_fastopen_key|vm\.user_reserve_kbytes)' | lines sysctl
find /etc -type f -exec md5sum {} + | lines content

# Files that no package owns, among them the links that enable units.
packaged=$(mktemp)
sort -u /var/lib/dpkg/info/*.list >"$packaged"
find / /run /tmp /dev/shm -xdev \( -path /home -o -path /proc -o -path /sys -o -path /var/log -o -path /var/lib/systemd -o -path /var/lib/dpkg \
	-o -path /var/lib/apt -o -path /var/cache/apt -o -path /var/cache/debconf -o -path /run/systemd -o -path /run/udev -o -path /run/user \
	-o -path /run/log -o -path "$packaged" -o -name '*.pyc' -o -path '/tmp/systemd-private-*' -o -path '/var/tmp/systemd-private-*' \) -prune -o -print |
	sort -u | comm -23 - "$packaged" | lines file
rm -f "$packaged"
