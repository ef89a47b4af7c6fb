package reading

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/sqldb"
)

// lastReads is how many of the last answers are looked through for who gave them.
const lastReads = 5000

// KnownReaders gives the names of those who read here, sorted: whoever can sign in now
// with one of the roles, by a token or in a session that holds, and whoever of the last
// few thousand answers gave one since a time.
func (l *Reading) KnownReaders(ctx context.Context, roles []string, since time.Time) ([]string, error) {
	args := []any{sqldb.MS(l.db.Now()), sqldb.MS(since)}
	in := []string{`''`}
	for _, r := range roles {
		args = append(args, r)
		in = append(in, fmt.Sprintf("$%d", len(args)))
	}
	names, err := sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT name FROM (
		SELECT name FROM token WHERE role IN (`+strings.Join(in, ", ")+`) AND (expires_at = 0 OR expires_at > $1)
		UNION SELECT reader FROM (SELECT reader, at FROM reading ORDER BY id DESC LIMIT `+fmt.Sprint(lastReads)+`) AS lately WHERE at >= $2) AS known
		WHERE name <> '' ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("look for who reads here: %w", err)
	}
	return names, nil
}
