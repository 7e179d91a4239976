#!/bin/bash
# Makes a Debian 13 machine of Debian's packages, as a small server has them:
# image.sh FOLDER makes there
#
#   root.img         the file system
#   vmlinuz, initrd  what boots it
#   key, known_hosts what opens it by ssh as the user ada
#
# The machine reaches no network. Packages that berth takes from Debian are in a
# repository on its disk, /srv/debian, and none of them is installed.
set -euo pipefail
folder=$1 step=${2:-make}
root=$folder/root

# What berth meets: systemd 257, cgroup v2, AppArmor, systemd-resolved, sudo with
# Debian's secure_path, sshd.
machine=(linux-image-amd64 init systemd-resolved dbus udev kmod procps iproute2 apparmor sudo openssh-server nftables perl ca-certificates curl)
# What berth brings: unpacked in its cache, and installed.
unpacked=(etcd-server containerd runc containernetworking-plugins)
installed=(mmdebstrap)

make() {
	mkdir -p "$folder"
	ssh-keygen -q -t ed25519 -N '' -C berth-vm -f "$folder/key"
	mmdebstrap --quiet --mode=root --variant=apt --dpkgopt=force-unsafe-io --skip=cleanup/apt/lists --include="$(IFS=,; echo "${machine[*]}")" \
		--essential-hook="bash '$0' '$folder' early" --customize-hook="bash '$0' '$folder' setup" \
		trixie "$root" 'deb http://deb.debian.org/debian trixie main'
	cp "$root"/boot/vmlinuz-* "$folder/vmlinuz"
	cp "$root"/boot/initrd.img-* "$folder/initrd"
	mke2fs -qF -t ext4 -L root -d "$root" "$folder/root.img" 16G
	rm -rf "$root"
}

early() { # before the kernel is installed
	# Its disk is virtio, and nothing else has to be looked for.
	install -d "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d"
	echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/modules"
	printf '%s\n' virtio_pci virtio_blk ext4 >"$root/usr/share/initramfs-tools/modules.d/virtual"
}

setup() { # after all packages
	echo berth-vm >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n127.0.1.1 berth-vm\n' >"$root/etc/hosts"
	echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
	printf '[Match]\nName=en*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n' >"$root/etc/systemd/network/10-wired.network"
	chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved ssh serial-getty@ttyS0
	chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer
	ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

	chroot "$root" useradd --create-home --shell /bin/bash ada
	echo 'ada ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ada"
	chmod 0440 "$root/etc/sudoers.d/ada"
	install -d -m 0700 -o 1000 -g 1000 "$root/home/ada/.ssh"
	install -m 0600 -o 1000 -g 1000 "$folder/key.pub" "$root/home/ada/.ssh/authorized_keys"
	sed 's/^/[127.0.0.1]:* /' "$root/etc/ssh/ssh_host_ed25519_key.pub" >"$folder/known_hosts"

	chroot "$root" apt-get clean
	mkdir -p "$root/srv/debian"
	chroot "$root" apt-get -qq --yes --no-install-recommends --download-only install "${installed[@]}"
	mv "$root"/var/cache/apt/archives/*.deb "$root/srv/debian"
	chroot "$root" sh -c 'cd /srv/debian && apt-get -qq -o APT::Sandbox::User=root download "$@"' - "${unpacked[@]}"
	(cd "$root/srv/debian" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
	rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
	echo 'deb [trusted=yes] file:/srv/debian ./' >"$root/etc/apt/sources.list"
	rm -rf "$root"/var/lib/apt/lists/*
	chroot "$root" apt-get -qq update
}

"$step"
