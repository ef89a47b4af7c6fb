package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/internal/dicom/charset"
	"varde/internal/slip"
	"varde/report"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/screening"
	"varde/worldlist/veil"
)

// invalid is a fault of a setting. Where its words end with another's, which says
// that it is invalid, it is not said twice.
func invalid(format string, a ...any) error {
	if err := fmt.Errorf(format, a...); errors.Is(err, study.ErrInvalid) {
		return err
	}
	return fmt.Errorf(format+": %w", append(a, study.ErrInvalid)...)
}

// A finder gathers faults, each under the setting that it is of.
type finder func(key, format string, a ...any)

// check holds the settings against each other. Each fault begins with where the
// setting came from.
func (l *Loader) check() error {
	var errs []error
	bad := func(key, format string, a ...any) {
		errs = append(errs, invalid("%s%w", l.where(key), invalid(format, a...)))
	}
	passOn := func(key string, err error) {
		if err != nil {
			errs = append(errs, slip.Under(l.where(key), err))
		}
	}
	l.checkOwn(bad, passOn)
	l.checkDoors(bad, passOn)
	l.checkHL7(bad)
	_, err := l.ArchivePeer()
	passOn("archive", err)
	_, err = l.PathwayTables()
	passOn(map[bool]string{true: "country", false: "pathways"}[l.Pathways == ""], err)
	_, err = screening.Load(l.Screening)
	passOn("screening", err)
	l.checkPeers(passOn)
	l.checkPriors(bad)
	for _, line := range l.Protocols {
		_, err := veil.ParseProtocols([]string{line})
		passOn("protocols", err)
	}
	if err := worldlist.CheckPACSLink(l.PACSLink); err != nil {
		passOn("pacs_link", fmt.Errorf("pacs_link: %w", err))
	}
	return errors.Join(errs...)
}

// checkOwn is about what this process is and does.
func (l *Loader) checkOwn(bad finder, passOn func(string, error)) {
	if l.Lang != "en" && l.Lang != "nb" && l.Lang != "da" {
		bad("lang", "lang %q is none of en, nb, da", l.Lang)
	}
	for _, r := range l.Roles {
		if !strings.Contains(" ingest score report web ", " "+r+" ") {
			bad("roles", "role %q is none of ingest, score, report, web", r)
		}
	}
	if len(l.Roles) == 0 {
		bad("roles", "roles is empty: the process would do nothing; name some of ingest, score, report, web")
	}
	for _, m := range l.Marks {
		if m != report.KindRings && m != report.KindKeys {
			bad("marks", "marks %q is none of gsps, kos", m)
		}
	}
	if !slices.Contains([]string{"json", "text", "auto"}, l.Log) {
		bad("log", "log %q is none of json, text, auto", l.Log)
	}
	for _, d := range l.Devices {
		_, err := ParsePlace(d)
		passOn("devices", err)
	}
	if l.Workers < 0 {
		bad("workers", "workers %d is below 0; 0 stands for one a core", l.Workers)
	}
	if l.Batch < 0 || l.Batch > 512 {
		bad("batch", "batch %d must be 0 to 512", l.Batch)
	}
	if l.DeviceMemory < 0 {
		bad("device_memory", "device_memory %d is below 0", l.DeviceMemory)
	}
	if l.MinFree < 1 {
		bad("min_free", "min_free %d must be at least 1 byte", l.MinFree)
	}
	for _, t := range []struct {
		key        string
		has, least time.Duration
	}{
		{"claim_idle", l.ClaimIdle, time.Minute}, {"keep_notices", l.KeepNotices, 24 * time.Hour}, {"commit_limit", l.CommitLimit, time.Second},
		{"drain", l.Drain, time.Second}, {"wait_services", l.WaitServices, 0}, {"gap_cap", l.GapCap, 2 * time.Second},
	} {
		if t.has < t.least {
			bad(t.key, "%s %s is under %s; write it with its unit, as 90s, 20m or 24h", t.key, t.has, short(t.least))
		}
	}
}

// short writes a time without the units of which it has none: 1m for 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// checkDoors is about who is let in, and how.
func (l *Loader) checkDoors(bad finder, passOn func(string, error)) {
	if len(l.AET) == 0 || len(l.AET) > 16 {
		bad("aet", "aet %q must have 1 to 16 characters", l.AET)
	}
	for _, term := range strings.Split(l.Charset, `\`) {
		if term = strings.Replace(term, "ISO 2022 IR", "ISO_IR", 1); term != "" && !slices.Contains(charset.Terms(), term) {
			bad("charset", "charset %q is none of %s", l.Charset, strings.Join(charset.Terms(), ", "))
		}
	}
	for _, line := range l.Callers {
		_, err := readCallers([]string{line})
		passOn("callers", err)
	}
	if l.TLSAddr != "" && (l.TLSCert == "" || l.TLSKey == "") {
		bad("tls_addr", "tls_addr %s needs tls_cert and tls_key", l.TLSAddr)
	}
	for _, n := range []struct {
		key string
		has int
	}{{"associations", l.Associations}, {"plain_associations", l.PlainAssociations}, {"tls_associations", l.TLSAssociations}} {
		if n.has < 0 {
			bad(n.key, "%s %d is below 0", n.key, n.has)
		}
	}
}
