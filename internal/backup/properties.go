package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"berth/internal/fault"
)

// DatabaseInfo are the properties of a database that a dump does not contain: all
// that "pg_dump --create" writes. A SQLite database has only a name and a size.
type DatabaseInfo struct {
	Name     string `json:"name"`
	Owner    string `json:"owner,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Collate  string `json:"collate,omitempty"`
	Ctype    string `json:"ctype,omitempty"`
	// Provider of the locale: "c" of libc, "i" of ICU, "b" built in.
	Provider string `json:"provider,omitempty"`
	// Locale of ICU or of the built-in provider, and ICU's further rules.
	Locale   string `json:"locale,omitempty"`
	ICURules string `json:"icuRules,omitempty"`
	// Bytes is the size on the server's disk.
	Bytes int64 `json:"bytes"`
	// Settings are those of ALTER DATABASE … SET: "name=value".
	Settings []string `json:"settings,omitempty"`
	// RoleSettings are those of ALTER ROLE … IN DATABASE … SET.
	RoleSettings []RoleSettings `json:"roleSettings,omitempty"`
	// Tablespace is empty for pg_default.
	Tablespace string `json:"tablespace,omitempty"`
	// ConnectionLimit is nil for none.
	ConnectionLimit *int `json:"connectionLimit,omitempty"`
	Template        bool `json:"template,omitempty"`
	// Comment of COMMENT ON DATABASE.
	Comment string `json:"comment,omitempty"`
	// Grants are the privileges on the database; nil for PostgreSQL's own.
	Grants []Grant `json:"grants,omitempty"`
	// Granted says that privileges were changed: without Grants, nobody has any.
	Granted bool `json:"granted,omitempty"`
	// Extensions are what the dump's CREATE EXTENSION needs to find.
	Extensions []string `json:"extensions,omitempty"`
}

// RoleSettings are what a role's sessions of the database begin with.
type RoleSettings struct {
	Role     string   `json:"role"`
	Settings []string `json:"settings"`
}

// A Grant is one privilege on the database.
type Grant struct {
	Grantor string `json:"grantor"`
	// Grantee is empty for PUBLIC.
	Grantee   string `json:"grantee,omitempty"`
	Privilege string `json:"privilege"`
	// Grantable is WITH GRANT OPTION.
	Grantable bool `json:"grantable,omitempty"`
}

// queryInfo reads it from the connection's database.
func queryInfo(ctx context.Context, c *pgx.Conn) (DatabaseInfo, error) {
	// What not every version has comes by way of JSON: PostgreSQL 15 added
	// datlocprovider and daticulocale, 16 daticurules, and 17 renamed the locale.
	// The name is the one that the session asked for: the catalog has it in the
	// encoding of whichever database it was made from, and here it would be read
	// in this one's.
	info := DatabaseInfo{Name: c.Config().Database}
	err := c.QueryRow(ctx, `
		SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, coalesce(to_jsonb(d)->>'datlocprovider', 'c'),
		       coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', ''), coalesce(to_jsonb(d)->>'daticurules', ''),
		       pg_database_size(d.oid), coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0), '{}'),
		       CASE spcname WHEN 'pg_default' THEN '' ELSE spcname END, CASE WHEN datconnlimit >= 0 THEN datconnlimit END, datistemplate,
		       coalesce(shobj_description(d.oid, 'pg_database'), ''), datacl IS NOT NULL,
		       ARRAY(SELECT extname::text FROM pg_extension ORDER BY extname)
		FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = current_database()`).
		Scan(&info.Owner, &info.Encoding, &info.Collate, &info.Ctype, &info.Provider, &info.Locale, &info.ICURules, &info.Bytes, &info.Settings,
			&info.Tablespace, &info.ConnectionLimit, &info.Template, &info.Comment, &info.Granted, &info.Extensions)
	if err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	rows, err := c.Query(ctx, `
		SELECT rolname, setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole JOIN pg_database d ON d.oid = setdatabase
		WHERE datname = current_database() ORDER BY rolname`)
	if err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	if info.RoleSettings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[RoleSettings]); err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	// In the order they were granted in: who passes a privilege on has it by then.
	rows, err = c.Query(ctx, `
		SELECT pg_get_userbyid(grantor), CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable
		FROM pg_database, unnest(datacl) WITH ORDINALITY a (item, place), aclexplode(ARRAY[item]) WHERE datname = current_database() ORDER BY place`)
	if err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	if info.Grants, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Grant]); err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	return info, nil
}

// create makes an empty database of that name, like the one described, but for the
// tablespace, which another server need not have.
func (info DatabaseInfo) create(ctx context.Context, c *pgx.Conn, name string) error {
	var major int
	if err := c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	sql := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE template0 ENCODING " + quoteLiteral(info.Encoding) +
		" LC_COLLATE " + quoteLiteral(info.Collate) + " LC_CTYPE " + quoteLiteral(info.Ctype)
	switch {
	case info.Provider == "i" && major < 15:
	case info.Provider == "i":
		sql += " LOCALE_PROVIDER icu ICU_LOCALE " + quoteLiteral(info.Locale)
		if info.ICURules != "" {
			sql += " ICU_RULES " + quoteLiteral(info.ICURules)
		}
	case info.Provider == "b":
		sql += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + quoteLiteral(info.Locale)
	case major >= 15:
		sql += " LOCALE_PROVIDER libc"
	}
	_, err := c.Exec(ctx, sql)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == "42809" || answer.Code == "22023") { // wrong_object_type, invalid_parameter_value
		return fault.WithHint(fmt.Errorf("create database %s: %w: %w", name, errNoLocale, err),
			"install the locale on the machine where PostgreSQL runs")
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// errNoLocale is in the chain when a server does not know the database's locale.
var errNoLocale = errors.New("this server does not have the database's locale")

// withoutLibraries returns the same without settings that have each session load a
// library, which a scratch server need not have, and does not need.
func (info DatabaseInfo) withoutLibraries() DatabaseInfo {
	left := func(settings []string) []string {
		return slices.DeleteFunc(slices.Clone(settings), func(setting string) bool {
			return strings.HasPrefix(setting, "session_preload_libraries=") || strings.HasPrefix(setting, "local_preload_libraries=")
		})
	}
	info.Settings = left(info.Settings)
	info.RoleSettings = slices.Clone(info.RoleSettings)
	for i, role := range info.RoleSettings {
		info.RoleSettings[i].Settings = left(role.Settings)
	}
	return info
}

// settle gives a new database the settings of the original, before anything is
// loaded: constraints and materialized views may read them.
func (info DatabaseInfo) settle(ctx context.Context, c *pgx.Conn, name string) error {
	alter := "ALTER DATABASE " + pgx.Identifier{name}.Sanitize()
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if err := set(ctx, tx, alter, info.Settings); err != nil {
			return err
		}
		for _, role := range info.RoleSettings {
			if err := set(ctx, tx, "ALTER ROLE "+pgx.Identifier{role.Role}.Sanitize()+" IN DATABASE "+pgx.Identifier{name}.Sanitize(), role.Settings); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up database %s: %w", name, err)
	}
	return nil
}

// finish gives a restored database the owner of the original, and what else is
// known of it. It is done last: a limit must not lock the restoring out.
func (info DatabaseInfo) finish(ctx context.Context, c *pgx.Conn, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	alter := "ALTER DATABASE " + quoted
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		statements := []string{alter + " OWNER TO " + pgx.Identifier{info.Owner}.Sanitize()}
		if info.Comment != "" {
			statements = append(statements, "COMMENT ON DATABASE "+quoted+" IS "+quoteLiteral(info.Comment))
		}
		if info.ConnectionLimit != nil {
			statements = append(statements, fmt.Sprintf("%s CONNECTION LIMIT %d", alter, *info.ConnectionLimit))
		}
		if info.Template {
			statements = append(statements, alter+" IS_TEMPLATE true")
		}
		for _, statement := range append(statements, info.grants(quoted)...) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up database %s: %w", name, err)
	}
	return nil
}

// grants are the statements that make the database's privileges what they were.
func (info DatabaseInfo) grants(quoted string) (statements []string) {
	if !info.Granted {
		return nil
	}
	statements = []string{
		"REVOKE ALL ON DATABASE " + quoted + " FROM PUBLIC",
		"REVOKE ALL ON DATABASE " + quoted + " FROM " + pgx.Identifier{info.Owner}.Sanitize(),
	}
	for _, g := range info.Grants {
		grant := "GRANT " + g.Privilege + " ON DATABASE " + quoted + " TO "
		if g.Grantee == "" {
			grant += "PUBLIC"
		} else {
			grant += pgx.Identifier{g.Grantee}.Sanitize()
		}
		if g.Grantable {
			grant += " WITH GRANT OPTION"
		}
		if g.Grantor != info.Owner {
			// The one who granted it had a grant option.
			statements = append(statements, "SET LOCAL ROLE "+pgx.Identifier{g.Grantor}.Sanitize(), grant, "RESET ROLE")
			continue
		}
		statements = append(statements, grant)
	}
	return statements
}

// set makes each "name=value" by a statement that ends in SET. PostgreSQL itself
// does not try whether a value makes sense in this session, and neither is it tried
// here: what one of the database's sessions begins with need not suit this one.
func set(ctx context.Context, tx pgx.Tx, alter string, settings []string) error {
	for _, setting := range settings {
		parameter, value, _ := strings.Cut(setting, "=")
		text := quoteLiteral(value)
		if lists[parameter] {
			var names []string
			for rest := value; rest != ""; {
				rest = strings.TrimLeft(rest, ", ")
				var name string
				if name, rest = listItem(rest); name != "" || len(names) == 0 {
					names = append(names, quoteLiteral(name))
				}
			}
			if text = strings.Join(names, ", "); text == "" {
				text = "''"
			}
		}
		if _, err := tx.Exec(ctx, alter+" SET "+pgx.Identifier(strings.Split(parameter, ".")).Sanitize()+" TO "+text); err != nil {
			return fmt.Errorf("setting %s: %w", parameter, err)
		}
	}
	return nil
}

// lists are the settings that hold a list of names, which SET takes one by one:
// quoted as one text, it would be one name. PostgreSQL's own GUC_LIST_QUOTE.
var lists = map[string]bool{
	"local_preload_libraries": true, "search_path": true, "session_preload_libraries": true, "shared_preload_libraries": true,
	"temp_tablespaces": true, "unix_socket_directories": true,
}

// listItem cuts the first name, quoted or not, off a list.
func listItem(list string) (name, rest string) {
	if strings.HasPrefix(list, `"`) {
		return identifier(list)
	}
	if end := strings.IndexByte(list, ','); end >= 0 {
		return strings.TrimRight(list[:end], " "), list[end:]
	}
	return strings.TrimRight(list, " "), ""
}

func quoteLiteral(text string) string {
	text = strings.ReplaceAll(text, "'", "''")
	if strings.Contains(text, `\`) {
		return ` E'` + strings.ReplaceAll(text, `\`, `\\`) + `'`
	}
	return "'" + text + "'"
}
