// Package settings is what an operator can say, and what it means. [Settings] lists it;
// a [Loader] gathers it from flags, the environment and a file, and holds it against
// itself, every fault at once. A [Destination] is a peer that we call: how it is
// written, what it is to get ([Destination.Want]) and how it is reached
// ([Settings.Dialer], [Settings.Carrier]). Who is let in, [Settings.Admits], and
// which devices score, [ParsePlace], have their words here too. Nothing is opened or
// served here but the files that are named.
package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"varde/internal/hl7"
	"varde/store"
	"varde/study"
	"varde/worldlist/pathway"
)

// Version is what results and reports name as the software that made them; a
// release build sets it by the linker.
var Version = "0.1.0"

// Settings is everything that an operator can set. A value comes from the first
// of these that gives one: a flag, the environment, the TOML file, the default.
// The flag of key dicom_addr is --dicom-addr, its environment VARDE_DICOM_ADDR.
type Settings struct {
	Dir          string        `toml:"dir" help:"folder of the objects, the ledger, the models and the first token"`
	DICOMAddr    string        `toml:"dicom_addr" help:"address of the DICOM listener; empty switches it off"`
	TLSAddr      string        `toml:"tls_addr" help:"address of the DICOM listener over TLS; empty for none"`
	TLSCert      string        `toml:"tls_cert" help:"PEM file of our certificate and what signed it"`
	TLSKey       string        `toml:"tls_key" help:"PEM file of our certificate's key"`
	TLSCA        string        `toml:"tls_ca" help:"PEM file of who may sign the certificates of peers, who then must have one; empty asks for none"`
	HTTPAddr     string        `toml:"http_addr" help:"address of the pages, the API and DICOMweb"`
	AET          string        `toml:"aet" help:"our AE title, which senders must call"`
	Callers      []string      `toml:"callers" help:"who is let in: AET, AET@10.0.0.0/8, AET@10.0.0.0/8#certificate name; * for any AET; empty lets all in"`
	Roles        []string      `toml:"roles" help:"what this process does: ingest, score, report, web"`
	Store        string        `toml:"store" help:"where objects are kept: a folder, or s3://bucket?endpoint=host:port"`
	Queue        string        `toml:"queue" help:"redis://host:port/db, redis+sentinel://host:port,host:port/db?master=name, redis+cluster://host:port,host:port; empty for the embedded one"`
	Ledger       string        `toml:"ledger" help:"ledger file, or postgres://user:password@host/database for several processes; empty for ledger.db in the folder"`
	WaitServices time.Duration `toml:"wait_services" help:"how long a process that starts waits for an object store or a database that is away; 0 for not at all"`
	ONNXLibrary  string        `toml:"onnx_library" help:"path of libonnxruntime; empty looks beside the program, on the system and in the Go modules"`
	Workers      int           `toml:"workers" help:"jobs that are scored at once; 0 for one a core"`
	Drain        time.Duration `toml:"drain" help:"how long jobs in hand may take to end when the process is asked to stop; what is longer goes to another worker"`
	Devices      []string      `toml:"devices" help:"GPUs that score, as cuda:0, tensorrt:0, openvino:0, webgpu; each is tried before it is trusted; empty for none"`
	DeviceMemory int           `toml:"device_memory" help:"MiB that one network may take of a GPU; 0 for all there is"`
	Batch        int           `toml:"batch" help:"tiles that go into one run of a network, where its card does not say; 0 as measured"`
	Tune         bool          `toml:"tune" help:"measure at the first use of a network how it runs best on this machine"`
	Protocols    []string      `toml:"protocols" help:"how results are read where that is to be stricter than the model's card: MODEL=independent, MODEL/PATHWAY=triage_only, second_look; * stands for any characters"`
	ClaimIdle    time.Duration `toml:"claim_idle" help:"after how long without a sign of its reader a study in hand is free again"`
	PACSLink     string        `toml:"pacs_link" help:"address at which the PACS shows a study, for the link on its page: https://pacs/open?study={study_uid}&accession={accession}, and {patient_id}; empty for no link"`
	HL7Addr      string        `toml:"hl7_addr" help:"address of the HL7 v2 listener (MLLP): orders, patients and reports; empty for none"`
	HL7Pathway   string        `toml:"hl7_pathway" help:"where orders bear the national code of a pathway, as ZPW-1 or OBR-46.2; empty for nowhere"`
	HL7Deadline  string        `toml:"hl7_deadline" help:"where orders bear the day by which the study must be read, beside TQ1-8"`
	Pathways     string        `toml:"pathways" help:"TOML file with the site's own pathways and remarks, over ours; varde pathway list shows all"`
	Country      string        `toml:"country" help:"where the site lies, NO or DK: diagnoses start that country's pathways; empty: only an order that names one"`
	Screening    string        `toml:"screening" help:"TOML file with the site's screening programs: what belongs to them, and how many readers each score asks for; empty for none"`
	HL7TLSCert   string        `toml:"hl7_tls_cert" help:"certificate of the HL7 listener, PEM; empty for no TLS"`
	HL7TLSKey    string        `toml:"hl7_tls_key" help:"its key, PEM"`
	HL7TLSCA     string        `toml:"hl7_tls_ca" help:"who signs the senders' certificates, PEM; empty asks for none"`
	ORUVersion   string        `toml:"oru_version" help:"HL7 version of the messages (kind oru) that tell of results, where a destination names none: 2.3, 2.3.1, 2.4, 2.5, 2.5.1, 2.6, 2.7, 2.8"`
	ORUCharset   string        `toml:"oru_charset" help:"their character set, where a destination names none: UNICODE UTF-8, 8859/1, ASCII"`
	ORUApp       string        `toml:"oru_app" help:"their sending application, MSH-3"`
	ORUFacility  string        `toml:"oru_facility" help:"their sending facility, MSH-4"`
	ORUCountry   string        `toml:"oru_country" help:"their country code, MSH-17: DNK, NOR"`
	ORUFinal     bool          `toml:"oru_final" help:"send as final what no physician has verified, for records that show nothing else; the words still say so"`
	ORUFiller    string        `toml:"oru_filler" help:"their filler number, OBR-3: own, so that no record takes them for the radiologist's report, or order"`
	Lang         string        `toml:"lang" help:"language of reports: en, nb, da"`
	Destinations []Destination `toml:"destinations" help:"where reports are sent: NAME=AET@host:port, behind it +commit to ask for storage commitment and +tls for TLS; NAME=https://host/dicom-web, NAME=mllp://host:port, NAME=fhir+https://host/base, NAME=folder:/path; each with ?kinds=sr,gsps&lang=nb as needed"`
	CommitLimit  time.Duration `toml:"commit_limit" help:"how long a destination with +commit may take to answer for what it took; then the delivery has failed"`
	Peers        []Destination `toml:"peers" help:"who may be called back, to report a storage commitment or as the destination of a C-MOVE: AET@host:port, and +tls?ca=FILE behind it for TLS"`
	Archive      string        `toml:"archive" help:"who is asked by C-FIND what a study holds, and by C-GET for what is missing: AET@host:port, and +tls?ca=FILE behind it for TLS; empty asks nobody"`
	AskSenders   bool          `toml:"ask_senders" help:"ask whoever sent a study like the archive, and before it, where it stands in peers or destinations"`
	Priors       int           `toml:"priors" help:"how many earlier studies of a patient are fetched from the archive; 0 for none"`
	PriorsMonths int           `toml:"priors_months" help:"how many months before the study they may be; 0 for any"`
	PriorsSame   []string      `toml:"priors_same" help:"in what they must be as the study: modality, body_part"`
	PriorsScore  bool          `toml:"priors_score" help:"have models score them too, after all else"`
	Charset      string        `toml:"charset" help:"character set of objects that name none"`
	Watch        string        `toml:"watch" help:"folder whose DICOM files are taken in and moved to its done or refused folder; empty for none"`
	GapCap       time.Duration `toml:"gap_cap" help:"longest silence before a study counts as whole when nothing else tells"`
	KeepNotices  time.Duration `toml:"keep_notices" help:"how long answered commitments, notices of modalities and archives, and what was learned of senders are kept"`
	MinFree      int64         `toml:"min_free" help:"bytes that must stay free on the disk; below, senders are refused"`
	Associations int           `toml:"associations" help:"DICOM associations that may be open at once"`
	// Each door may have a limit of its own, so that one can't take all.
	PlainAssociations int      `toml:"plain_associations" help:"of these, how many may be in the clear; 0 for all"`
	TLSAssociations   int      `toml:"tls_associations" help:"of these, how many may be over TLS; 0 for all"`
	Marks             []string `toml:"marks" help:"what is written beside the report of images with findings: gsps (rings and words), kos (key images); empty for nothing"`
	RejectSuperseded  bool     `toml:"reject_superseded" help:"have archives hide the objects that those of a later state of a study replace, by rejection notes (IOCM); without it the later ones name them"`
	Organization      string   `toml:"organization" help:"who answers for the readers, in reports that tell of a result as its reader left it (kind verified); empty: none is marked verified"`
	// ReferenceModels keeps our three reference models in the registry and makes
	// them live when they are new there.
	ReferenceModels bool   `toml:"reference_models" help:"keep the three reference models, live when new; they are no medical devices"`
	Log             string `toml:"log" help:"json, text, or auto: text on a terminal"`
	S3AccessKey     string `toml:"-" env:"VARDE_S3_ACCESS_KEY"`
	S3SecretKey     string `toml:"-" env:"VARDE_S3_SECRET_KEY"`
}

// Defaults are the settings of an operator who says nothing.
func Defaults() Settings {
	return Settings{
		Dir: "varde-data", DICOMAddr: "127.0.0.1:11112", HTTPAddr: "127.0.0.1:8080", AET: "VARDE",
		Roles: []string{"ingest", "score", "report", "web"}, Lang: "en", ORUVersion: "2.5.1", ORUCharset: hl7.UTF8, ORUApp: "VARDE", ORUFiller: "own", Charset: "ISO_IR 100", Tune: true,
		PriorsMonths: 60, PriorsSame: []string{"modality", "body_part"}, CommitLimit: 24 * time.Hour, KeepNotices: 90 * 24 * time.Hour, GapCap: 60 * time.Second, Drain: 15 * time.Second, WaitServices: 5 * time.Minute, ReferenceModels: true, ClaimIdle: 20 * time.Minute, MinFree: 1 << 30, Associations: 64, Log: "auto",
	}
}

// A Loader gathers settings and remembers where each came from.
type Loader struct {
	Settings
	file   string
	Source map[string]string // of each setting: key → "flag", "VARDE_…", the file's name, or "default"
	lines  map[string]int    // of the file: key, or list and number, → where it stands
	flags  *pflag.FlagSet
}

// Bind adds flags for the settings with these keys only, or for all when none is
// named. The other settings still come from the environment and the file.
func (l *Loader) Bind(flags *pflag.FlagSet, keys ...string) {
	l.flags = flags
	flags.StringVar(&l.file, "config", "", "TOML file with settings")
	d := reflect.ValueOf(Defaults())
	for i := range d.NumField() {
		key, help := d.Type().Field(i).Tag.Get("toml"), d.Type().Field(i).Tag.Get("help")
		if key == "-" || len(keys) > 0 && !slices.Contains(keys, key) {
			continue
		}
		if d.Field(i).Kind() == reflect.Slice {
			flags.StringSlice(flagName(key), nil, help)
			continue
		}
		flags.String(flagName(key), fmt.Sprint(d.Field(i)), help)
	}
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// Load reads the file, then the environment, then the flags. Every fault is
// returned at once; of a file that can't be read that alone, for what it would have
// set is missing from all else.
func (l *Loader) Load() error {
	l.Settings, l.Source, l.lines = Defaults(), map[string]string{}, map[string]int{}
	errs, err := l.loadFile()
	if err != nil {
		return err
	}
	v := reflect.ValueOf(&l.Settings).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, env := field.Tag.Get("toml"), variable(field)
		if l.Source[key] == "" {
			l.Source[key] = "default"
		}
		if s, ok := os.LookupEnv(env); ok {
			errs = append(errs, l.put(v.Field(i), key, env, strings.Split(s, ",")))
		}
		if key == "-" {
			continue
		}
		if f := l.flags.Lookup(flagName(key)); f != nil && f.Changed {
			values := []string{f.Value.String()}
			if list, ok := f.Value.(pflag.SliceValue); ok {
				values = list.GetSlice()
			}
			errs = append(errs, l.put(v.Field(i), key, "flag", values))
		}
	}
	return errors.Join(append(errs, l.check())...)
}

// put sets one value from text and notes where it came from.
func (l *Loader) put(v reflect.Value, key, source string, text []string) error {
	one := strings.Join(text, ",")
	var err error
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = one
	case *int:
		*p, err = strconv.Atoi(one)
	case *int64:
		*p, err = strconv.ParseInt(one, 10, 64)
	case *bool:
		*p, err = strconv.ParseBool(one)
	case *time.Duration:
		*p, err = time.ParseDuration(one)
	case *[]string:
		*p = nil
		for _, s := range text {
			if s = strings.TrimSpace(s); s != "" {
				*p = append(*p, s)
			}
		}
	case *[]Destination:
		*p = make([]Destination, 0, len(text))
		for _, s := range wholeDestinations(text) {
			var d Destination
			if s == "" {
				continue
			}
			if fault := d.UnmarshalText([]byte(s)); fault != nil {
				err = errors.Join(err, fault)
				continue
			}
			*p = append(*p, d)
		}
	}
	if err != nil {
		var number *strconv.NumError // its words are about our code
		if errors.As(err, &number) || key != "-" && form(v.Interface()) != form("") && !errors.Is(err, study.ErrInvalid) {
			err = fmt.Errorf("%q is not %s: %w", one, form(v.Interface()), study.ErrInvalid)
		}
		return fmt.Errorf("setting %s from %s: %w", key, source, err)
	}
	l.Source[key] = source
	return nil
}

// CheckServing is what a process that serves needs beside sound settings.
func (s Settings) CheckServing() error {
	if store.IsPostgres(s.Ledger) && s.Queue == "" {
		return fmt.Errorf("ledger %s is shared by processes, and each would have a queue of its own; name one with --queue redis://host:port/0: %w",
			store.HideSecret(s.Ledger), study.ErrInvalid)
	}
	return nil
}

// Has reports whether this process plays a role.
func (s Settings) Has(role string) bool {
	return slices.Contains(s.Roles, role)
}

// Folder gives a place inside the data folder.
func (s Settings) Folder(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// LedgerPath is where the ledger lies: a file, or the address of a database, which
// may hold a password.
func (s Settings) LedgerPath() string {
	if s.Ledger != "" {
		return s.Ledger
	}
	return s.Folder("ledger.db")
}

// PathwayTables reads the pathways that are in force.
func (s Settings) PathwayTables() (*pathway.Tables, error) {
	return pathway.Load(s.Pathways, s.Country)
}

// Runners is how many jobs are scored at once.
func (s Settings) Runners() int {
	if s.Workers > 0 {
		return s.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Shared reports whether other processes may work on the same studies, so that they
// need the same models.
func (s Settings) Shared() bool {
	return store.IsPostgres(s.Ledger) && strings.HasPrefix(s.Store, "s3://")
}
