package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// AddToken lets a bearer in under a role and a name until expires, or for good
// when that is zero. Only the token's hash is kept.
func (l *Trail) AddToken(ctx context.Context, t study.Token, by string) error {
	err := l.db.Change(ctx, func(x *sqldb.Tx) error {
		if err := addToken(x, t, false); err != nil {
			return err
		}
		return Write(x, by, "token", "token "+t.Hash.Short(), fmt.Sprintf("role %s, name %s", t.Role, t.Name))
	})
	if err != nil {
		return fmt.Errorf("add token of %s: %w", t.Name, err)
	}
	return nil
}

// AddSession keeps the session of a browser, like a token but without a row in
// the audit.
func (l *Trail) AddSession(ctx context.Context, t study.Token) error {
	err := l.db.Change(ctx, func(x *sqldb.Tx) error {
		if _, err := x.Exec(`DELETE FROM token WHERE session = 1 AND expires_at > 0 AND expires_at <= $1`, sqldb.MS(x.Now)); err != nil {
			return err
		}
		return addToken(x, t, true)
	})
	if err != nil {
		return fmt.Errorf("add session of %s: %w", t.Name, err)
	}
	return nil
}

func addToken(x *sqldb.Tx, t study.Token, session bool) error {
	_, err := x.Exec(`INSERT INTO token (hash, session, role, name, expires_at, made_at) VALUES `+sqldb.Values(6),
		t.Hash[:], sqldb.Bit(session), sqldb.Clean(t.Role), sqldb.Clean(t.Name), sqldb.MS(t.Expires), sqldb.MS(x.Now))
	return err
}

// Token gives the token of this hash. [study.ErrNotFound] when there is none, or
// its time is over.
func (l *Trail) Token(ctx context.Context, hash study.Hash) (study.Token, error) {
	return l.token(ctx, hash, false)
}

// TokenRole gives the role and the name of a token, as [Trail.Token] does.
func (l *Trail) TokenRole(ctx context.Context, hash study.Hash) (role, name string, err error) {
	t, err := l.token(ctx, hash, false)
	return t.Role, t.Name, err
}

// Session is [Trail.Token] for the session of a browser.
func (l *Trail) Session(ctx context.Context, hash study.Hash) (study.Token, error) {
	return l.token(ctx, hash, true)
}

const tokenColumns = `hash, role, name, expires_at, made_at`

func (l *Trail) token(ctx context.Context, hash study.Hash, session bool) (study.Token, error) {
	t, err := sqldb.One(l.db.Ask(ctx), scanToken, `SELECT `+tokenColumns+` FROM token
		WHERE hash = $1 AND session = $2 AND (expires_at = 0 OR expires_at > $3)`, hash[:], sqldb.Bit(session), sqldb.MS(l.db.Now()))
	if errors.Is(err, study.ErrNotFound) {
		return t, fmt.Errorf("token %s: %w", hash.Short(), err)
	}
	return t, err
}

func scanToken(rows *sql.Rows) (t study.Token, err error) {
	var sum []byte
	var expires, made int64
	err = rows.Scan(&sum, &t.Role, &t.Name, &expires, &made)
	t.Hash, t.Expires, t.MadeAt = sqldb.Hash(sum), sqldb.At(expires), sqldb.At(made)
	return t, err
}

// Tokens gives the bearers' tokens, expired ones too, the oldest first.
func (l *Trail) Tokens(ctx context.Context) ([]study.Token, error) {
	return sqldb.List(l.db.Ask(ctx), scanToken, `SELECT `+tokenColumns+` FROM token WHERE session = 0 ORDER BY made_at, hash`)
}

// DropToken shuts out whoever bears the token or the session of this hash.
func (l *Trail) DropToken(ctx context.Context, hash study.Hash, by string) error {
	err := l.db.Change(ctx, func(x *sqldb.Tx) error {
		sessions, err := sqldb.List(x, sqldb.Number, `SELECT session FROM token WHERE hash = $1`, hash[:])
		if err != nil {
			return err
		}
		if len(sessions) == 0 {
			return study.ErrNotFound
		}
		if _, err := x.Exec(`DELETE FROM token WHERE hash = $1`, hash[:]); err != nil {
			return err
		}
		if sessions[0] == 1 {
			return nil
		}
		return Write(x, by, "token dropped", "token "+hash.Short(), "")
	})
	if err != nil {
		return fmt.Errorf("drop token %s: %w", hash.Short(), err)
	}
	return nil
}
