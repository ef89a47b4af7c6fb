package doctor

import (
	"context"
	"os"
	"time"

	"varde/cmd/varde/settings"
	"varde/store"
	"varde/store/objects"
)

// siteTimeout is how long an object store may take to say whose it is.
const siteTimeout = 5 * time.Second

// site names who tries a destination, so that the trials of two sites with one AE title
// are two at an archive that both tell: by the AE title and the installation. Where no
// object store says yet which that is, or it is away, the AE title alone has to do.
func site(ctx context.Context, s settings.Settings) string {
	where := s.Store
	if where == "" {
		where = s.Folder("objects")
		if _, err := os.Stat(where); err != nil { // opening would make it, and a look changes nothing
			return s.AET
		}
	}
	ctx, cancel := context.WithTimeout(ctx, siteTimeout)
	defer cancel()
	o, err := objects.Open(ctx, where, objects.Credentials{AccessKey: s.S3AccessKey, SecretKey: s.S3SecretKey})
	if err != nil {
		return s.AET
	}
	defer o.Close()
	i, err := store.KnownInstallation(ctx, o)
	if err != nil {
		return s.AET
	}
	return s.AET + " " + i.ID
}
