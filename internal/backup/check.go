package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"berth/internal/fault"
)

// Check tests whether backups of the database can be made and verified here,
// without making one, so that a problem shows when backups are set up and not at
// night. It returns as warnings what a backup would leave out. Pass verify as false
// if backups are not verified here.
func (j *Job) Check(ctx context.Context, verify bool) (warnings []string, err error) {
	if _, err := j.list(ctx); err != nil {
		return nil, err
	}
	if j.File != "" {
		lock, err := lockFile(j.File)
		if err != nil {
			return nil, err
		}
		return nil, lock.Close()
	}
	s, err := j.Database.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	p, err := FindPrograms(ctx, j.Bin, s.major)
	if err != nil {
		return nil, err
	}
	if warnings, err = hidden(ctx, s.connection); err != nil {
		return nil, err
	}
	if !verify {
		return warnings, nil
	}
	lost, err := j.checkScratch(ctx, p, s.info)
	return append(warnings, lost...), err
}

// checkScratch starts the server that backups are verified in, and looks whether
// it can hold the database.
func (j *Job) checkScratch(ctx context.Context, p Programs, info DatabaseInfo) (warnings []string, err error) {
	server, err := startScratch(ctx, p, j.Scratch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	missing, err := missingExtensions(ctx, server.Database, info.Extensions)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, fault.WithHint(fmt.Errorf("backups of %s could not be verified: the scratch server does not have the extension %s", j.Name(), strings.Join(missing, ", ")),
			"install the package of the extension for PostgreSQL %d there, or set BACKUP_VERIFY=false", p.major)
	}
	c, err := server.Database.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	switch err := info.create(ctx, c, "checked"); {
	case errors.Is(err, errNoLocale):
		warnings = append(warnings, fmt.Sprintf("the scratch server does not have the database's locale %s: backups are verified with C", info.Collate))
	case err != nil:
		return nil, fmt.Errorf("backups of %s could not be verified: %w", j.Name(), err)
	}
	return warnings, nil
}
