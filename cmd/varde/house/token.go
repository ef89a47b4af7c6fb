package house

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"varde/cmd/varde/settings"
	"varde/internal/webui"
	"varde/store"
	"varde/study"
)

// TokenFile holds the first administrator's bearer token, readable by the owner
// of the data folder only. There is no default password.
const TokenFile = "admin.token"

// firstToken gives the first administrator's token: the one in the file, or a
// new one. A token that the ledger does not know, because the ledger is new, is
// made known again.
func firstToken(ctx context.Context, s settings.Settings, l *store.Ledger) (string, error) {
	file := s.Folder(TokenFile)
	b, err := os.ReadFile(file)
	token := strings.TrimSpace(string(b))
	switch {
	case errors.Is(err, os.ErrNotExist):
		token = rand.Text()
		if err := writeOnce(file, token+"\n"); err != nil {
			return "", fmt.Errorf("keep the first administrator's token: %w", err)
		}
	case err != nil:
		return "", fmt.Errorf("read the first administrator's token: %w", err)
	case len(token) < 20:
		return "", fmt.Errorf("token in %s is too short; remove the file and start again: %w", file, study.ErrInvalid)
	}
	if _, _, err := l.TokenRole(ctx, HashToken(token)); err == nil {
		return token, nil
	} else if !errors.Is(err, study.ErrNotFound) {
		return "", err
	}
	return token, l.AddToken(ctx, study.Token{Hash: HashToken(token), Role: webui.Admin, Name: "first administrator", MadeAt: time.Now()}, "varde")
}

// HashToken is what is kept of a token.
func HashToken(token string) study.Hash { return sha256.Sum256([]byte(token)) }

// writeOnce writes a new file for its owner only.
func writeOnce(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
