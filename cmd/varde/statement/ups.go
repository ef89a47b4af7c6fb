package statement

import (
	"fmt"

	"varde/cmd/varde/house"
	"varde/internal/webui"
	"varde/worldlist/ups"
)

// An upsRoute is a transaction of the worklist service.
type upsRoute struct {
	Transaction string `json:"transaction"`
	Request     string `json:"request"`
	Readers     bool   `json:"readers"` // those alone who may read studies
}

// An upsAttribute is an attribute of a work item.
type upsAttribute struct {
	Tag     string `json:"tag"`
	Keyword string `json:"keyword"`
	Basic   bool   `json:"basic"`
	From    string `json:"from"`
}

// upsFacts are what the statement says of UPS-RS.
type upsFacts struct {
	Class      string         `json:"class"`
	Events     string         `json:"events"`
	Label      string         `json:"worklist_label"`
	Routes     []upsRoute     `json:"routes"`
	Attributes []upsAttribute `json:"attributes"`
	Changeable []string       `json:"changeable"`
	Warnings   []string       `json:"warnings"`
}

// worklistService gathers these facts of the tables that the service works by.
func worklistService() upsFacts {
	f := upsFacts{Class: ups.Class, Events: ups.EventClass, Label: ups.Label, Warnings: ups.Warnings()}
	for _, r := range ups.Routes() {
		f.Routes = append(f.Routes, upsRoute{r.Transaction, fmt.Sprintf("%s %s%s", r.Method, house.DICOMwebBase, r.Path), r.Right == webui.ReadStudies})
	}
	for _, a := range ups.Attributes() {
		f.Attributes = append(f.Attributes, upsAttribute{a.Tag.String(), a.Tag.Keyword(), a.Basic, a.From})
	}
	for _, t := range ups.Changeable() {
		f.Changeable = append(f.Changeable, t.Keyword()+" "+t.String())
	}
	return f
}
