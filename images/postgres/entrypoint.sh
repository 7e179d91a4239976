#!/bin/bash
# Starts PostgreSQL, and makes its database at the first start, by the
# environment of the official image:
#
#   POSTGRES_PASSWORD          the superuser's password; required
#   POSTGRES_USER              the superuser; "postgres" by default
#   POSTGRES_DB                a database to make; by default named as the user
#   POSTGRES_INITDB_ARGS       options for initdb, split at blanks
#   POSTGRES_HOST_AUTH_METHOD  for pg_hba.conf; "trust" needs no password
#   PGDATA                     the data directory
#
# The first four may be given as files instead, by NAME_FILE. Files *.sql and
# *.sh in /docker-entrypoint-initdb.d are run once, in the order of their names.
#
# A database is made in a folder inside PGDATA and moved into place when it is
# whole, PG_VERSION last: an interrupted first start is begun anew or ended by
# the next one. (PGDATA itself may be a mount point, which cannot be renamed.)
set -Eeuo pipefail

: "${PGDATA:?is not set}"
scripts=${INITDB_SCRIPTS:-/docker-entrypoint-initdb.d}
making=$PGDATA/.making
made=$PGDATA/.made

say() { echo "entrypoint: $*" >&2; }
die() { say "$*"; exit 1; }

# from_file NAME DEFAULT sets NAME to the content of the file that NAME_FILE
# names, or leaves it, or sets it to DEFAULT.
from_file() {
	local file=${1}_FILE
	if [ -n "${!file:-}" ]; then
		[ -z "${!1:-}" ] || die "both $1 and $file are set"
		printf -v "$1" '%s' "$(<"${!file}")"
	else
		printf -v "$1" '%s' "${!1:-$2}"
	fi
}

check_password() {
	if [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ]; then
		say "WARNING: POSTGRES_HOST_AUTH_METHOD=trust lets anyone in without a password"
	elif [ -z "$POSTGRES_PASSWORD" ]; then
		die "POSTGRES_PASSWORD is empty: set it, or POSTGRES_PASSWORD_FILE"
	fi
}

# check_empty refuses to build a database among files of something else.
check_empty() {
	local found
	found=$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name "${making##*/}" -print -quit)
	[ -z "$found" ] || die "$PGDATA holds no database, but is not empty: $found"
}

make_cluster() {
	local arguments
	read -ra arguments <<<"$POSTGRES_INITDB_ARGS"
	initdb --pgdata="$making" --username="$POSTGRES_USER" \
		--pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}" >&2
	echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$making/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$making/postgresql.conf"
}

# fill_cluster makes the database and runs the scripts, with a server that
# nobody else reaches. It gets the final server's options, as some scripts
# depend on them.
fill_cluster() {
	local file
	PGHOST=$(mktemp -d)
	export PGHOST PGPORT=5432 PGUSER=$POSTGRES_USER PGPASSWORD=$POSTGRES_PASSWORD PGDATABASE=postgres
	pg_ctl --pgdata="$making" --silent --wait start \
		--options="$(printf '%q ' "${@:2}" -c listen_addresses= -c unix_socket_directories="$PGHOST" -c port=5432)" >&2
	if [ "$POSTGRES_DB" != postgres ]; then
		echo 'CREATE DATABASE :"name";' | run_sql --set=name="$POSTGRES_DB"
	fi
	export PGDATABASE=$POSTGRES_DB
	for file in "$scripts"/*; do
		case $file in
		*.sql) say "running $file"; run_sql --file="$file" ;;
		*.sh) say "running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
		*/\*) ;;
		*) say "ignoring $file" ;;
		esac
	done
	pg_ctl --pgdata="$making" --silent --mode=fast --wait stop >&2
	rm -rf "$PGHOST"
	unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
}

run_sql() { psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 "$@" >&2; }

initialize() {
	from_file POSTGRES_PASSWORD ''
	from_file POSTGRES_USER postgres
	from_file POSTGRES_DB "$POSTGRES_USER"
	from_file POSTGRES_INITDB_ARGS ''
	export POSTGRES_USER POSTGRES_DB
	check_password
	check_empty
	say "making the database $POSTGRES_DB of $POSTGRES_USER in $PGDATA"
	rm -rf "$making"
	trap 'pg_ctl --pgdata="$making" --silent --mode=immediate stop >&2 || true' EXIT
	make_cluster
	fill_cluster "$@"
	trap - EXIT
	sync -f "$making"
	mv "$making" "$made"
}

# move_in puts what is made where the server looks for it. Any start may end
# what an earlier one began.
move_in() {
	find "$made" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
	sync -f "$PGDATA"
	[ ! -e "$made/PG_VERSION" ] || mv "$made/PG_VERSION" "$PGDATA"
	rmdir "$made"
	say "the database is ready to start"
}

case ${1:-} in '' | -*) set -- postgres "$@" ;; esac
# Anything but the server is run as it stands: psql, pg_dump, a shell.
if [ "$1" != postgres ]; then
	exec "$@"
fi
for argument; do
	case $argument in --help | -\? | --version | -V | --describe-config | -C) exec "$@" ;; esac
done

[ "$(id -u)" != 0 ] || die "PostgreSQL does not run as root: run the image as its own user, 999"
mkdir -p "$PGDATA" || die "cannot make $PGDATA: give uid $(id -u) a volume that it may write"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	[ -d "$made" ] || initialize "$@"
	move_in
elif [ -d "$made" ]; then
	rmdir "$made"
fi
holds=$(<"$PGDATA/PG_VERSION")
is=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
[ "$holds" = "$is" ] || die "$PGDATA is of PostgreSQL $holds, which this image's PostgreSQL $is cannot read: berth database upgrade takes it over"
# Kubernetes' fsGroup gives the group access that the server takes offence at.
chmod 0700 "$PGDATA"
unset POSTGRES_PASSWORD
exec "$@"
