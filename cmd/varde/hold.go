package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"varde/study"
)

// A holdLine is a hold as the command line prints it: which facts differ, and
// never what they are, for a terminal keeps what it showed.
type holdLine struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Study   study.UID `json:"study"`
	Sender  string    `json:"sender"`
	Message string    `json:"message"`
	At      string    `json:"held_at"`
	Differs []string  `json:"differs"`
	State   string    `json:"state"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

func holdLineOf(h study.Hold) holdLine {
	l := holdLine{ID: h.ID, Kind: h.Kind, Study: h.Study, Sender: h.Told.Sender, Message: h.Told.ID,
		At: h.At.UTC().Format("2006-01-02T15:04:05Z"), State: h.State, By: h.By, Reason: h.Reason, Differs: []string{}}
	for _, d := range h.Evidence {
		l.Differs = append(l.Differs, d.Attribute)
	}
	return l
}

func (l holdLine) String() string {
	text := fmt.Sprintf("%4s  %s  %-6s  %-9s  %s  message %s of %s; differs in %s", l.ID, l.At, l.Kind, l.State, l.Study,
		l.Message, l.Sender, strings.Join(l.Differs, ", "))
	if l.By != "" {
		text += fmt.Sprintf("; by %s: %s", l.By, l.Reason)
	}
	return text
}

func holdVerb() *cobra.Command {
	c := &cobra.Command{Use: "hold", Short: "See what other systems told and what was not applied, and decide",
		Long: "An HL7 message whose patient is not the study's is kept and not applied. Here a person\n" +
			"decides, with a reason, which the audit trail keeps. Both sides of what differs stand on\n" +
			"the page Operations and in the API, for those who may see patients."}
	var f study.HoldFilter
	var all bool
	list := deskVerb("list", "List what is held, the newest first", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			f.State = study.HoldOpen
			if all {
				f.State = ""
			}
			holds, err := d.Ledger.Holds(ctx, f)
			for _, h := range holds {
				l := holdLineOf(h)
				d.print(l, "%s", l)
			}
			return err
		})
	list.Flags().BoolVar(&all, "all", false, "those that are decided too")
	list.Flags().StringVar((*string)(&f.Study), "study", "", "of this study only")
	list.Flags().IntVar(&f.Limit, "limit", 100, "lines")
	c.AddCommand(list,
		decideHoldVerb("release", "Apply what was told to its study, whatever contradicts it", true),
		decideHoldVerb("discard", "Never apply what was told; its text stays kept", false))
	return c
}

func decideHoldVerb(use, short string, release bool) *cobra.Command {
	var reason string
	c := deskVerb(use+" ID --reason TEXT", short, cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			h, err := d.Ledger.DecideHold(ctx, args[0], release, d.Who, reason)
			if err != nil {
				return fmt.Errorf("%w; varde hold list shows what waits", err)
			}
			d.print(holdLineOf(h), "hold %s of study %s is %s", h.ID, h.Study, h.State)
			return nil
		})
	c.Flags().StringVar(&reason, "reason", "", "why; the audit trail keeps it with your name")
	_ = c.MarkFlagRequired("reason")
	return c
}
