package worldlist

import (
	"fmt"
	"net/url"
	"strings"

	"varde/study"
)

// placeholders are what the template of a link to the PACS may name.
var placeholders = [...]string{"{study_uid}", "{accession}", "{patient_id}"}

// CheckPACSLink reports what is wrong with the template of a link to the PACS: an
// address of http or https in which {study_uid}, {accession} and {patient_id} stand
// for what they say. Empty is sound: no link is shown.
func CheckPACSLink(template string) error {
	if template == "" {
		return nil
	}
	bare := template
	for _, p := range placeholders {
		bare = strings.ReplaceAll(bare, p, "1")
	}
	u, err := url.Parse(bare)
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(template, "https://"), "http://"), "/")
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(bare, "{}\"'<> ") || strings.Contains(host, "{") {
		return fmt.Errorf("link to the PACS %q: write an address of http or https; {study_uid}, {accession} and {patient_id} may stand behind the host: %w", template, study.ErrInvalid)
	}
	return nil
}

// pacsLink is the address at which the PACS shows a study; empty where none is set,
// or where the study lacks what the address needs.
func pacsLink(template string, s study.Study) string {
	if template == "" || CheckPACSLink(template) != nil {
		return ""
	}
	for i, value := range []string{string(s.UID), s.Accession, s.Patient.Reveal().ID} {
		if value == "" && strings.Contains(template, placeholders[i]) {
			return ""
		}
		// What is right in a query is right in a path as well, but for the space.
		template = strings.ReplaceAll(template, placeholders[i], strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	return template
}
