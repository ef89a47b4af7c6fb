package house

import (
	"context"
	"errors"
	"fmt"
	"os/user"

	"varde/cmd/varde/settings"
	"varde/models"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A Desk is what a verb needs that looks at a data folder or changes something
// in it, whether or not a service runs on it.
type Desk struct {
	settings.Settings
	Ledger   *store.Ledger // which who opened the desk closes; it shadows the setting of that name
	Registry *models.Registry
	Who      string // who types, for the audit trail
}

// OpenDesk opens the ledger: alone when no service runs, else as its guest.
func OpenDesk(ctx context.Context, s settings.Settings) (*Desk, error) {
	options, _, err := ledgerOptions(s)
	if err != nil {
		return nil, err
	}
	l, err := store.OpenLedger(ctx, s.LedgerPath(), options)
	if errors.Is(err, study.ErrBusy) {
		options.Guest = true
		l, err = store.OpenLedger(ctx, s.LedgerPath(), options)
	}
	if err != nil {
		return nil, err
	}
	r, err := models.Open(s.Folder("models"), l)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Desk{Settings: s, Ledger: l, Registry: r, Who: Whoever()}, nil
}

// Whoever names for the audit who types.
func Whoever() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command line"
}

// OpenObjects opens the objects of the folder beside Whoever serves it.
func (d *Desk) OpenObjects(ctx context.Context) (objects.Store, error) {
	where := d.Store
	if where == "" {
		where = d.Folder("objects")
	}
	return objects.Open(ctx, where, objects.Credentials{AccessKey: d.S3AccessKey, SecretKey: d.S3SecretKey})
}

// Sharing does something at a desk whose models are those of all processes that share
// its ledger and its objects.
func (d *Desk) Sharing(ctx context.Context, do func() error) (err error) {
	if !d.Shared() {
		return do()
	}
	objects, err := d.OpenObjects(ctx)
	if err != nil {
		return fmt.Errorf("open the object store; see --store: %w", err)
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	if err := d.Registry.Share(ctx, objects); err != nil {
		return err
	}
	return do()
}
