package wal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server is what a session is told of the one it is connected to.
type server struct {
	system   string
	timeline uint32
	now      time.Time
	flushed  LSN
	segment  int64
	version  string
	major    int
	super    string // the superuser that initdb made
	// user is who asks, and replicates whether that one may.
	user       string
	replicates bool
	slot       *slot
}

// slot is what keeps the log on the server until the stream has it.
type slot struct {
	restart LSN
	lost    bool
	active  bool // somebody receives
}

// chain is the name of the server's chain.
func (s server) chain() string { return fmt.Sprintf("%s-%d", s.system, s.timeline) }

// look asks a server for all of that; anybody who may connect may ask.
func look(ctx context.Context, c *pgx.Conn, slotName string) (s server, err error) {
	var flushed string
	var restart, status *string
	var active *bool
	err = c.QueryRow(ctx, `
		SELECT (SELECT system_identifier::text FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()),
			clock_timestamp(), pg_current_wal_flush_lsn()::text, (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
			current_setting('server_version'), current_setting('server_version_num')::int / 10000,
			(SELECT rolname FROM pg_roles WHERE oid = 10),
			current_user, (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
			s.restart_lsn::text, s.wal_status, s.active
		FROM (VALUES (1)) one LEFT JOIN pg_replication_slots s ON s.slot_name = $1`, slotName).
		Scan(&s.system, &s.timeline, &s.now, &flushed, &s.segment, &s.version, &s.major, &s.super, &s.user, &s.replicates, &restart, &status, &active)
	if err != nil {
		return s, fmt.Errorf("ask the server for its log: %w", err)
	}
	if s.flushed, err = ParseLSN(flushed); err != nil {
		return s, err
	}
	if status != nil {
		s.slot = &slot{lost: *status == "lost" || restart == nil, active: *active}
		if restart != nil {
			s.slot.restart, err = ParseLSN(*restart)
		}
	}
	return s, err
}
