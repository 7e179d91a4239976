package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Main is the process that looks at a file. It exits with 0 for a good one, with 1
// for one that it cannot look at, and with anything else, or by a signal, for one
// that is damaged.
func Main(path string) {
	err := check(path)
	var place *os.PathError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, berrors.ErrTimeout), errors.As(err, &place):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(damaged)
}

// check reads all of a database.
func check(path string) error {
	if err := checkHeads(path); err != nil {
		return err
	}
	// Opening it for writing looks at all pages.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	defer db.Close() // It was only read.
	return db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("default"))
		if bucket == nil {
			return errors.New("it has no contents")
		}
		return bucket.ForEach(func(_, value []byte) error {
			_, err := unseal(value)
			return err
		})
	})
}

// checkHeads looks at both of the database's heads. With one of them it would open,
// and be what it was before the last change: a line that was put into the queue
// then would be gone.
func checkHeads(path string) error {
	const (
		before, length = 16, 56 // the page's own head, and what the checksum is of
		magic          = 0xED0CDAED
	)
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() // It was only read.
	for page := range 2 {
		head := make([]byte, length+8)
		if _, err := file.ReadAt(head, int64(page*os.Getpagesize()+before)); err != nil {
			return fmt.Errorf("its head is cut off")
		}
		sum := fnv.New64a()
		_, _ = sum.Write(head[:length]) // A hash takes everything.
		if binary.LittleEndian.Uint32(head) != magic || binary.LittleEndian.Uint64(head[length:]) != sum.Sum64() {
			return fmt.Errorf("its head is damaged")
		}
	}
	return nil
}
