package statement

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/ingest"
	"varde/ingest/dicomweb"
	"varde/ingest/inquiry"
	"varde/ingest/retrieve"
	"varde/internal/dicom"
	"varde/internal/dicom/charset"
	"varde/internal/dimse"
	"varde/report"
	"varde/report/fhir"
	"varde/store"
	"varde/study"
)

// A named is a UID and its name in PS3.6 §A.
type named struct {
	Name string    `json:"name"`
	UID  study.UID `json:"uid"`
}

// conformanceFacts are what the conformance statement is made from.
type conformanceFacts struct {
	Version        string          `json:"version"`
	Implementation named           `json:"implementation"`
	AET            string          `json:"ae_title"`
	Roles          []string        `json:"roles"`
	Plain          string          `json:"dicom_addr,omitempty"`
	TLS            string          `json:"dicom_tls_addr,omitempty"`
	Certificates   bool            `json:"dicom_tls_asks_for_certificates"`
	HTTP           string          `json:"http_addr"`
	Callers        []string        `json:"callers"`
	Associations   int             `json:"associations"`
	PerCaller      int             `json:"associations_of_one_caller"`
	MaxPDU         int             `json:"max_pdu"`
	Services       []service       `json:"services"`
	Provided       []provided      `json:"provided"`
	Syntaxes       []named         `json:"storage_transfer_syntaxes"` // best first
	Fetched        []named         `json:"fetched_transfer_syntaxes"`
	Storage        []named         `json:"storage_classes"`
	Statuses       []storeStatus   `json:"store_statuses"`
	Keys           []queryLevel    `json:"query_keys"`
	WebKeys        []string        `json:"qido_keys"`
	UPS            upsFacts        `json:"ups_rs"`
	Charsets       []string        `json:"character_sets"`
	Written        []writtenKind   `json:"written"`
	Destinations   []destinationOf `json:"destinations"`
	Archive        string          `json:"archive,omitempty"`
	AskSenders     bool            `json:"ask_senders"`
	Priors         int             `json:"priors"`
	HL7            string          `json:"hl7_addr,omitempty"`
	ORU            oruFacts        `json:"oru"`
	FHIR           []string        `json:"fhir,omitempty"` // where results are read, by version
	Concepts       []study.Code    `json:"own_concepts"`
	Settings       []setting       `json:"settings"`
}

type oruFacts struct {
	Version string    `json:"version"`
	Charset string    `json:"charset"`
	Final   bool      `json:"final"`
	Filler  string    `json:"filler"`
	Forms   []oruForm `json:"forms,omitempty"` // of destinations that want another
}

// An oruForm is how one destination is told.
type oruForm struct {
	Destination string `json:"destination"`
	Version     string `json:"version"`
	Charset     string `json:"charset"`
}

// oruForms lists the destinations that are told otherwise than the site says.
func oruForms(s settings.Settings) (all []oruForm) {
	for _, d := range s.Destinations {
		if f := s.Form(d); d.Way() == settings.ByMLLP && f != s.Form(settings.Destination{}) {
			all = append(all, oruForm{d.Name, f.Version, f.Charset})
		}
	}
	return all
}

// A service is a line of the table of network services.
type service struct {
	Name     string `json:"name"`
	User     bool   `json:"user"`
	Provider bool   `json:"provider"`
	When     string `json:"when"`
}

// A provided is a class that we are the provider of, with the transfer syntaxes as
// the negotiation takes them.
type provided struct {
	named
	Syntaxes []named `json:"transfer_syntaxes"`
	All      bool    `json:"-"` // all that are taken for storage
}

type storeStatus struct {
	Status string `json:"status"`
	Words  string `json:"words"`
	When   string `json:"when"`
}

type queryLevel struct {
	Level    string   `json:"level"`
	Matched  []string `json:"matched"`
	Returned []string `json:"returned"`
}

// A destinationOf is where results are sent.
type destinationOf struct {
	Name    string   `json:"name"`
	Sort    string   `json:"sort"`
	Address string   `json:"address"`
	TLS     bool     `json:"tls"`
	Commit  bool     `json:"commit"`
	Kinds   []string `json:"kinds"`
	Lang    string   `json:"lang"`
}

type setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Help  string `json:"help"`
}

func name(uids ...study.UID) []named {
	all := make([]named, 0, len(uids))
	for _, u := range uids {
		all = append(all, named{cmp.Or(strings.TrimSuffix(dicom.ClassName(u), " SOP Class"), string(u)), u})
	}
	return all
}

// conformance gathers the facts, of the settings and of the tables that negotiation,
// queries and writers work by.
func conformance(s settings.Settings, entries []Model) conformanceFacts {
	f := conformanceFacts{
		Version: settings.Version, Implementation: named{dicom.ImplementationName, dicom.ImplementationUID}, AET: s.AET, Roles: s.Roles,
		HTTP: s.HTTPAddr, Callers: s.Callers, Associations: s.Associations, PerCaller: dimse.MaxPerCalling, MaxPDU: dimse.MaxPDU,
		Syntaxes: name(dimse.Accepts(nil, dicom.CTImage)...), Fetched: name(inquiry.FetchedSyntaxes()...), Storage: name(dicom.StorageClasses()...),
		WebKeys: dicomweb.Keys(), UPS: worklistService(), Charsets: charset.Terms(), AskSenders: s.AskSenders, Priors: s.Priors,
		ORU:     oruFacts{s.ORUVersion, s.ORUCharset, s.ORUFinal, s.ORUFiller, oruForms(s)},
		Keys:    queryKeys(),
		Written: writtenKinds(s), Destinations: destinationsOf(s), Concepts: ownConcepts(entries), Settings: documented(s),
	}
	for _, v := range fhir.Versions {
		f.FHIR = append(f.FHIR, house.FHIRBase+string(v))
	}
	if s.Has("ingest") {
		f.Plain, f.TLS, f.HL7 = s.DICOMAddr, s.TLSAddr, s.HL7Addr
		f.Certificates = s.TLSAddr != "" && s.TLSCA != ""
	}
	if f.Plain != "" || f.TLS != "" {
		services := house.Services(s)
		for _, u := range append([]study.UID{dicom.Verification}, slices.Sorted(maps.Keys(services))...) {
			taken := name(dimse.Accepts(services, u)...)
			f.Provided = append(f.Provided, provided{name(u)[0], taken, len(taken) == len(f.Syntaxes)})
		}
	}
	if a, err := s.ArchivePeer(); err == nil && a.Addr != "" {
		f.Archive = a.AET
	}
	for _, e := range []struct {
		err  error
		when string
	}{
		{nil, "the object and its record are durable"},
		{study.ErrBusy, "no room, or a fault of ours: send it again"},
		{ingest.ErrMismatch, "the object is another one than the command announced"},
		{study.ErrRefused, "the sender may not store"},
		{study.ErrInvalid, "the object cannot be read"},
	} {
		status := ingest.StatusOf(e.err)
		code := fmt.Sprintf("%04X", uint16(status))
		f.Statuses = append(f.Statuses, storeStatus{code, strings.TrimPrefix(status.String(), code+" "), e.when})
	}
	f.Services = f.networkServices()
	return f
}

// networkServices sums up who does what, PS3.2's overview.
func (f conformanceFacts) networkServices() []service {
	door := f.Plain != "" || f.TLS != ""
	to, commits := false, false
	for _, d := range f.Destinations {
		to, commits = to || d.Sort == settings.ByDIMSE, commits || d.Commit
	}
	asks := f.Archive != "" || f.AskSenders
	return []service{
		{"Verification", true, door, "as user: `varde echo`, `varde doctor`"},
		{"Storage", to, door, "as user: to each DICOM destination; as provider: every storage class"},
		{"Storage commitment, push model", commits, door, "as user: destinations with `+commit`"},
		{"Query and retrieve, Study Root: C-FIND", asks, door, "as user: `archive`, `ask_senders`"},
		{"Query and retrieve, Study Root: C-MOVE, C-GET", asks, door, "as user: what a study lacks, and priors"},
		{"Modality performed procedure step", false, door, "how long a study is waited for"},
		{"Instance availability notification", false, door, "how long a study is waited for"},
		{"STOW-RS", slices.ContainsFunc(f.Destinations, func(d destinationOf) bool { return d.Sort == settings.BySTOW }), f.HTTP != "", "as user: DICOMweb destinations"},
		{"QIDO-RS, WADO-RS", false, f.HTTP != "", ""},
		{"UPS-RS", false, f.HTTP != "", "the reading worklist"},
	}
}

// queryKeys sorts what a C-FIND may ask for by level.
func queryKeys() []queryLevel {
	var all []queryLevel
	for _, k := range retrieve.Keys() {
		if len(all) == 0 || all[len(all)-1].Level != k.Level {
			all = append(all, queryLevel{Level: k.Level})
		}
		to := &all[len(all)-1]
		if k.Matched {
			to.Matched = append(to.Matched, k.Keyword)
		} else {
			to.Returned = append(to.Returned, k.Keyword)
		}
	}
	return all
}

// destinationsOf tells where results go, and what of them.
func destinationsOf(s settings.Settings) []destinationOf {
	all := []destinationOf{}
	for _, d := range s.Destinations {
		_, where, _ := strings.Cut(d.String(), "=")
		where, _, _ = strings.Cut(where, "?")
		where = strings.TrimSuffix(strings.TrimSuffix(where, "+tls"), "+commit")
		all = append(all, destinationOf{Name: d.Name, Sort: d.Way(), Address: where,
			TLS: d.TLS || strings.HasPrefix(d.URL, "https:"), Commit: d.Commit, Kinds: d.Want().Gets(s.Marks), Lang: cmp.Or(d.Lang, s.Lang)})
	}
	return all
}

// ownConcepts lists the codes of our own scheme: those of every result, and those of
// the cards.
func ownConcepts(entries []Model) []study.Code {
	all := report.OwnCodes()
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if c, ok := v.Interface().(study.Code); ok && strings.HasPrefix(c.Scheme, "99") {
				all = append(all, c)
				return
			}
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	for _, e := range entries {
		walk(reflect.ValueOf(e.Card))
	}
	slices.SortFunc(all, func(a, b study.Code) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Meaning, b.Meaning))
	})
	return slices.Compact(all)
}

// documentedKeys are the settings that the statement depends on.
var documentedKeys = []string{"aet", "dicom_addr", "tls_addr", "tls_ca", "callers", "associations", "plain_associations", "tls_associations", "http_addr", "roles",
	"hl7_addr", "hl7_tls_cert", "hl7_tls_ca", "oru_version", "oru_charset", "oru_final", "oru_filler", "lang", "marks", "reject_superseded", "organization", "destinations", "commit_limit", "peers",
	"archive", "ask_senders", "priors", "priors_months", "priors_same", "priors_score", "charset", "gap_cap", "keep_notices", "min_free", "reference_models"}

// documented lists these settings with their values, without secrets.
func documented(s settings.Settings) []setting {
	var all []setting
	v := reflect.ValueOf(s)
	for _, key := range documentedKeys {
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.Tag.Get("toml") == key {
				value := fmt.Sprint(v.Field(i))
				if v.Field(i).Kind() == reflect.Slice {
					value = strings.Trim(value, "[]")
				}
				all = append(all, setting{key, store.HideSecret(value), field.Tag.Get("help")})
			}
		}
	}
	return all
}
