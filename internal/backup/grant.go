package backup

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// Grant makes the role that backups are made as, or brings it up to date: it
// may read everything, past row-level security, and own or change nothing. The
// database's user has to be a superuser. Large objects are not among what
// PostgreSQL lets such a role read; pg_dump fails on them.
func (d *Database) Grant(ctx context.Context, role, password string) error {
	if role == "" || password == "" {
		return fault.Usage("the role and its password must be set")
	}
	verifier, err := Verifier(password)
	if err != nil {
		return err
	}
	c, err := d.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	name := pgx.Identifier{role}.Sanitize()
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		var there, owner bool
		err := tx.QueryRow(ctx, "SELECT count(*) > 0, coalesce(bool_or(rolsuper OR rolname = current_user), false) FROM pg_roles WHERE rolname = $1", role).Scan(&there, &owner)
		if err != nil {
			return fmt.Errorf("grant: %w", err)
		}
		if owner {
			return fault.Usage("role %s owns the database or is a superuser; backups want a role of their own", role)
		}
		create := "CREATE ROLE "
		if there {
			create = "ALTER ROLE "
		}
		for _, statement := range []string{
			// The verifier is base64 and punctuation, without a quote.
			create + name + " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS CONNECTION LIMIT 10 PASSWORD '" + verifier + "'",
			"GRANT pg_read_all_data TO " + name,
			"ALTER ROLE " + name + " SET default_transaction_read_only = on",
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("grant to role %s: %w", role, err)
			}
		}
		return nil
	})
}

// GrantReplication makes the role that the write-ahead log is streamed as: it may
// replicate, and read nothing.
func (d *Database) GrantReplication(ctx context.Context, role, password string) error {
	if role == "" || password == "" {
		return fault.Usage("the role that replicates and its password must be set")
	}
	verifier, err := Verifier(password)
	if err != nil {
		return err
	}
	c, err := d.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var there, owner bool
	err = c.QueryRow(ctx, "SELECT count(*) > 0, coalesce(bool_or(rolsuper OR rolname = current_user), false) FROM pg_roles WHERE rolname = $1", role).Scan(&there, &owner)
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if owner {
		return fault.Usage("role %s owns the database or is a superuser; the stream wants a role of its own", role)
	}
	create := "CREATE ROLE "
	if there {
		create = "ALTER ROLE "
	}
	// Four sessions are the stream's, two a base's.
	_, err = c.Exec(ctx, create+pgx.Identifier{role}.Sanitize()+" LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS CONNECTION LIMIT 10 PASSWORD '"+verifier+"'")
	if err != nil {
		return fmt.Errorf("grant to role %s: %w", role, err)
	}
	return nil
}

// DropSlot removes a replication slot, if there is one: it would keep the log on the
// server. Who uses it has been told to end, and is waited for.
func (d *Database) DropSlot(ctx context.Context, name string) error {
	c, err := d.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	for try := 0; ; try++ {
		var active bool
		err := c.QueryRow(ctx, "SELECT active FROM pg_replication_slots WHERE slot_name = $1", name).Scan(&active)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil && !active || err == nil && try == 60 {
			_, err = c.Exec(ctx, "SELECT pg_drop_replication_slot($1)", name)
			if err == nil {
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("drop slot %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// Verifier returns what the server stores of a password (RFC 5803). CREATE ROLE
// accepts it in place of the password, which then reaches neither the server nor
// its log.
func Verifier(password string) (string, error) {
	const iterations = 4096 // as PostgreSQL's own
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, says its documentation
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(mac(salted, "Server Key"))), nil
}
