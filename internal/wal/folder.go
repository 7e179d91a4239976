package wal

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// segmentsIn lists the segments in a folder, the incomplete one last.
func segmentsIn(folder string) (names []string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // not there yet
	}
	for _, entry := range entries {
		if localSegment.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names
}

var localSegment = regexp.MustCompile(`^[0-9A-F]{24}(\.partial)?$`)

// waiting is how many bytes lie in a folder and those below it.
func waiting(folder string) (bytes int64) {
	// A file that goes meanwhile is one less.
	_ = filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// received reads what pg_receivewal has written to a file from an offset on: the rest
// of the file is zeros. The end is looked for first, so that all before it is there
// by the time it is read.
func received(path string, from int64) (data []byte, end int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	const step = 64 << 10
	buffer := make([]byte, step)
	for at := (info.Size() + step - 1) / step * step; at > from && end == 0; at -= step {
		begin := max(at-step, 0)
		n, readErr := file.ReadAt(buffer, begin)
		if n == 0 && readErr != nil && at <= info.Size() {
			return nil, 0, readErr
		}
		if last := len(bytes.TrimRight(buffer[:n], "\x00")); last > 0 {
			end = begin + int64(last)
		}
	}
	if end <= from {
		return nil, end, nil
	}
	data = make([]byte, end-from)
	if _, err := file.ReadAt(data, from); err != nil {
		return nil, 0, err
	}
	return data, end, nil
}
