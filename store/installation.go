package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"varde/store/objects"
	"varde/study"
)

// installationKey is where an installation says who it is. It lies beside the studies, for
// it must outlive the ledger: what was written of a study is named by it.
const installationKey = "installation.json"

const (
	installationFormat = "varde-installation"
	// longestInstallation bounds what is read of it.
	longestInstallation = 4096
)

// A keptInstallation is what lies under [installationKey].
type keptInstallation struct {
	Format string `json:"format"`
	study.Installation
}

// Installation gives the installation that a store of objects belongs to. Where the store
// does not say it yet, one is made and is durable before it is given: of processes that
// start at the same time all get the same. Of a store in which there are results already
// it counts from now on, and what was received before keeps the names that it has.
func Installation(ctx context.Context, o objects.Store) (study.Installation, error) {
	i, err := KnownInstallation(ctx, o)
	if !errors.Is(err, study.ErrNotFound) {
		return i, err
	}
	i = study.Installation{ID: rand.Text()}
	for _, err := range o.List(ctx, "results/") {
		if err != nil {
			return study.Installation{}, fmt.Errorf("make the installation's identity: %w", err)
		}
		i.Since = time.Now().UTC().Truncate(time.Millisecond) // as the ledger keeps time
		break
	}
	b, err := json.Marshal(keptInstallation{installationFormat, i})
	if err != nil {
		return study.Installation{}, err
	}
	_, err = o.PutOnce(ctx, installationKey, bytes.NewReader(b), int64(len(b)))
	if errors.Is(err, objects.ErrExists) { // another process was first
		return KnownInstallation(ctx, o)
	}
	if err != nil {
		return study.Installation{}, fmt.Errorf("keep the installation's identity: %w", err)
	}
	return i, nil
}

// KnownInstallation is [Installation] for who only looks: a store that does not say it
// yet is [study.ErrNotFound].
func KnownInstallation(ctx context.Context, o objects.Store) (i study.Installation, err error) {
	body, err := o.Range(ctx, installationKey, 0, longestInstallation)
	if err != nil {
		return i, fmt.Errorf("read the installation's identity: %w", err)
	}
	b, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return i, fmt.Errorf("read the installation's identity: %w", err)
	}
	var k keptInstallation
	if err := json.Unmarshal(b, &k); err != nil || k.Format != installationFormat || k.ID == "" {
		return i, fmt.Errorf("%s in the object store is not what Varde wrote there; put it back from a backup: %w", installationKey, study.ErrInvalid)
	}
	return k.Installation, nil
}
