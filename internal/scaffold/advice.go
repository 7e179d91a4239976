package scaffold

import (
	"path"
	"slices"
	"strings"

	"berth/internal/config"
)

// advise notes what is for the owner to do, of all that the files say together.
func (d *Draft) advise() {
	d.noteLocalhost()
	d.noteMigrations()
	d.noteMade()
	d.noteStrangers()
}

// noteLocalhost says which values lead to the developer's own machine.
func (d *Draft) noteLocalhost() {
	d.local = slices.DeleteFunc(d.local, func(name string) bool { return d.Env[name] == "" })
	if len(d.local) > 0 {
		d.note(config.File, "localhost is the pod itself in the values of %s: give others, and what is the application's own address under environments.NAME.env", strings.Join(d.local, ", "))
	}
}

// noteMigrations says how a database would be migrated, where no file does.
func (d *Draft) noteMigrations() {
	if d.Database == "" || !d.Release.IsZero() {
		return
	}
	for _, m := range migrations {
		if len(d.glob(path.Join(d.Context, m.files))) > 0 {
			d.note(path.Join(d.Context, strings.TrimSuffix(strings.SplitN(m.files, "*", 2)[0], "/")), "no file says what migrates the database; most often it is release: {command: %s}", m.command)
			return
		}
	}
}

// migrations are what frameworks keep the changes of a database in, and the command
// that makes them.
var migrations = []struct{ files, command string }{
	{"prisma/migrations/*/migration.sql", "npx prisma migrate deploy"},
	{"migrations/alembic.ini", "flask db upgrade"},
	{"alembic.ini", "alembic upgrade head"},
	{"manage.py", "python manage.py migrate --noinput"},
	{"db/migrate/*.rb", "bin/rails db:migrate"},
	{"artisan", "php artisan migrate --force"},
	{"migrations/Version*.php", "php bin/console doctrine:migrations:migrate --no-interaction"},
	{"priv/repo/migrations/*.exs", "bin/migrate"},
}

// noteMade says which secrets only their owner can make.
func (d *Draft) noteMade() {
	for _, made := range []struct{ name, how string }{
		{"RAILS_MASTER_KEY", "is what config/master.key has, and none that berth makes up opens the credentials: put it into .env"},
		{"APP_KEY", "is what php artisan key:generate --show prints, and none that berth makes up has its form: put it into .env"},
	} {
		if slices.Contains(d.Secrets, made.name) && !slices.Contains(d.fromEnv, made.name) &&
			(made.name != "APP_KEY" || d.exists(d.inContext("artisan"))) {
			d.note("berth.yaml", "%s %s", made.name, made.how)
		}
	}
}

// noteStrangers says which files of other tools are not read.
func (d *Draft) noteStrangers() {
	for _, s := range strangers {
		if d.exists(s.file) {
			d.note(s.file, "is %s's and not read: docs/applications.md has berth's words for what it may say", s.tool)
		}
	}
}

// strangers are files of other tools, which say nothing that is read here.
var strangers = []struct{ file, tool string }{
	{"fly.toml", "Fly"}, {"render.yaml", "Render"}, {"railway.json", "Railway"}, {"railway.toml", "Railway"}, {"skaffold.yaml", "Skaffold"},
}
