package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// contents is what a database holds at one moment.
type contents struct {
	// schema is as pg_dump --schema-only has it.
	schema string
	tables []table
	bytes  int64
	// log is how much the server has ever written to its write-ahead log.
	log int64
	// insertions and sequences say how rows are taken that are like those of before.
	insertions []insertion
	sequences  []sequence
}

// table is a table of the database. A partitioned one has the rows of its partitions.
type table struct {
	// id stays when the table is renamed; 0 where there is no such thing.
	id   uint32
	name string
	// of is the partitioned table that this is a partition of.
	of   string
	rows int64
	// unlogged is one whose rows are in no write-ahead log.
	unlogged bool
	// file changes when the table is rewritten.
	file                       uint32
	inserted, updated, deleted int64
}

// readContents reads what a PostgreSQL holds, but for its schema. What it had before says
// which rows are tried again; nil is before.
func readContents(ctx context.Context, c *pgx.Conn, before *contents) (*contents, error) {
	var insertions []insertion
	var err error
	if before == nil {
		// First, as rows that are written count although that is taken back.
		if insertions, err = tryInserts(ctx, c); err != nil {
			return nil, err
		}
	}
	all, err := readCatalog(ctx, c)
	if err != nil {
		return nil, err
	}
	if all.sequences, err = readSequences(ctx, c); err != nil {
		return nil, err
	}
	if before != nil {
		if insertions, err = tryAgain(ctx, c, before.insertions); err != nil {
			return nil, err
		}
	}
	all.insertions = insertions
	return all, nil
}

// readCatalog reads its tables and its size.
func readCatalog(ctx context.Context, c *pgx.Conn) (*contents, error) {
	all := &contents{}
	if err := c.QueryRow(ctx, "SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&all.bytes, &all.log); err != nil {
		return nil, fmt.Errorf("ask for the database's size: %w", err)
	}
	found, err := c.Query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relpersistence = 'u', c.relkind = 'p', coalesce(pg_partition_root(c.oid)::oid, 0), coalesce(pg_relation_filenode(c.oid), 0),
			coalesce(pg_stat_get_tuples_inserted(c.oid), 0), coalesce(pg_stat_get_tuples_updated(c.oid), 0), coalesce(pg_stat_get_tuples_deleted(c.oid), 0)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND `+ofUsers+`
		ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	type part struct {
		partitioned bool
		root        uint32
		count       string
	}
	var parts []part
	places := map[uint32]int{}
	for found.Next() {
		var t table
		var p part
		var schema, name string
		if err := found.Scan(&t.id, &schema, &name, &t.unlogged, &p.partitioned, &p.root, &t.file, &t.inserted, &t.updated, &t.deleted); err != nil {
			return nil, fmt.Errorf("list the tables: %w", err)
		}
		t.name = inPublic(schema, name)
		p.count = "SELECT count(*) FROM ONLY " + pgx.Identifier{schema, name}.Sanitize()
		places[t.id] = len(parts)
		all.tables, parts = append(all.tables, t), append(parts, p)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	for i, p := range parts {
		t := &all.tables[i]
		root, partition := places[p.root]
		partition = partition && root != i
		if partition {
			t.of = all.tables[root].name
		}
		if p.partitioned {
			continue
		}
		if err := c.QueryRow(ctx, p.count).Scan(&t.rows); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", t.name, err)
		}
		if partition {
			all.tables[root].rows += t.rows
		}
	}
	return all, nil
}

// ofUsers says in SQL that a relation c in a namespace n is neither PostgreSQL's nor
// temporary.
const ofUsers = `c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`

// compareTables says which tables' rows changed.
func compareTables(before, after *contents) (changed []Table) {
	seen := map[int]bool{}
	for _, was := range before.tables {
		i := find(after.tables, was)
		if i < 0 {
			changed = append(changed, Table{Name: was.name, Of: was.of, Before: was.rows, After: -1})
			continue
		}
		seen[i] = true
		is := after.tables[i]
		t := Table{Name: is.name, Of: is.of, Before: was.rows, After: is.rows, Unlogged: is.unlogged && !was.unlogged}
		if is.name != was.name {
			t.Was = was.name
		}
		if is.id == was.id {
			t.Inserted, t.Updated, t.Deleted = is.inserted-was.inserted, is.updated-was.updated, is.deleted-was.deleted
			t.Rewritten = is.file != was.file && is.rows > 0
		} else {
			t.Inserted, t.Rewritten = is.inserted, is.rows > 0
		}
		if t.Was != "" || t.Before != t.After || t.Rewritten || t.Unlogged || t.Inserted+t.Updated+t.Deleted > 0 {
			changed = append(changed, t)
		}
	}
	for i, is := range after.tables {
		if !seen[i] && is.rows > 0 {
			changed = append(changed, Table{Name: is.name, Of: is.of, Before: -1, After: is.rows, Inserted: is.inserted})
		}
	}
	return changed
}

// uncounted leaves out the rows that were written: PostgreSQL counts those too that are
// rolled back, as for a release command that fails.
func uncounted(tables []Table) (changed []Table) {
	for _, t := range tables {
		t.Inserted, t.Updated, t.Deleted = 0, 0, 0
		if t.Was != "" || t.Before != t.After || t.Rewritten || t.Unlogged {
			changed = append(changed, t)
		}
	}
	return changed
}

// find returns the place of a table: the same one, or the one that has its name now.
func find(tables []table, wanted table) int {
	if i := slices.IndexFunc(tables, func(t table) bool { return t.id == wanted.id && wanted.id != 0 }); i >= 0 {
		return i
	}
	return slices.IndexFunc(tables, func(t table) bool { return t.name == wanted.name })
}

// pause is the time between two looks at the locks.
const pause = 100 * time.Millisecond

// watch looks at what a PostgreSQL is doing until it is ended.
type watch struct {
	tables map[uint32]table
	mu     sync.Mutex
	held   map[hold]span
	peak   int64
	stop   context.CancelFunc
	done   chan struct{}
}

// hold is a lock that a transaction holds.
type hold struct {
	table       uint32
	mode        string
	transaction string
}

type span struct{ first, last time.Time }

// startWatch watches with a connection of its own, which it closes at the end.
func startWatch(ctx context.Context, c *pgx.Conn, before *contents) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{tables: map[uint32]table{}, held: map[hold]span{}, peak: before.bytes, stop: stop, done: make(chan struct{})}
	for _, t := range before.tables {
		w.tables[t.id] = t
	}
	go func() {
		defer close(w.done)
		defer c.Close(context.WithoutCancel(ctx))
		for {
			// What cannot be asked just now is asked again.
			_ = w.look(ctx, c)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}()
	return w
}

func (w *watch) look(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT relation, mode, virtualtransaction, pg_database_size(current_database()) FROM pg_locks
		WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid() AND relation >= 16384
			AND mode IN ('RowExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		UNION ALL SELECT 0, '', '', pg_database_size(current_database())`)
	if err != nil {
		return err
	}
	defer rows.Close()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	var size int64
	for rows.Next() {
		var h hold
		var bytes int64
		if err := rows.Scan(&h.table, &h.mode, &h.transaction, &bytes); err != nil {
			return err
		}
		size = bytes
		// What the transaction has made itself keeps nobody waiting.
		if _, known := w.tables[h.table]; !known {
			continue
		}
		s, known := w.held[h]
		if !known {
			s.first = now
		}
		s.last = now
		w.held[h] = s
	}
	if err := rows.Err(); err != nil {
		return err
	}
	// What is sorted on disk, as for an index, is not the database's own. Not everybody may
	// look there.
	var sorted int64
	_ = c.QueryRow(ctx, "SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_tmpdir()").Scan(&sorted)
	w.peak = max(w.peak, size+sorted)
	return nil
}

// keepAway leaves out the locks of who only inserts: those of rows keep away who changes
// the same ones.
func keepAway(locks []Lock, changed []Table) (kept []Lock) {
	for _, l := range locks {
		written := slices.ContainsFunc(changed, func(t Table) bool {
			return (t.Name == l.Table || t.Was == l.Table) && t.Updated+t.Deleted > 0
		})
		if l.Mode != rowLock || written {
			kept = append(kept, l)
		}
	}
	return kept
}

// rowLock is the mode of a table's lock while its rows are written.
const rowLock = "RowExclusiveLock"

// end returns the locks that were held long, the longest first, and the most room that
// the database took.
func (w *watch) end() (locks []Lock, peak int64) {
	w.stop()
	<-w.done
	longest := map[Lock]time.Duration{}
	for h, s := range w.held {
		of := Lock{Table: w.tables[h.table].name, Mode: h.mode, Rows: w.tables[h.table].rows}
		longest[of] = max(longest[of], s.last.Sub(s.first)+pause/2)
	}
	for lock, held := range longest {
		if held >= longLock {
			lock.Seconds = held.Seconds()
			locks = append(locks, lock)
		}
	}
	slices.SortFunc(locks, func(a, b Lock) int {
		if a.Seconds != b.Seconds {
			return int(1000 * (b.Seconds - a.Seconds))
		}
		return strings.Compare(a.Table, b.Table)
	})
	return locks, w.peak
}
