package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/internal/webui"
	"varde/study"
)

// newToken makes a token of a known role.
func newToken(ctx context.Context, d *desk, t study.Token) (string, error) {
	if !slices.Contains(webui.Roles, t.Role) {
		return "", exitError{exitUsage, fmt.Errorf("role %q is none of %s", t.Role, strings.Join(webui.Roles, ", "))}
	}
	if t.Name == "" {
		t.Name = t.Role
	}
	text := rand.Text()
	t.Hash = house.HashToken(text)
	return text, d.Ledger.AddToken(ctx, t, d.Who)
}

func auditVerb() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "See who did what, and check that nothing was changed"}
	var limit int
	show := deskVerb("show", "Print the latest rows of the audit trail", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			rows, err := d.Ledger.AuditRows(ctx, 0, limit)
			for _, r := range rows {
				d.print(r, "%6d  %s  %-20s %-12s %s %s", r.N, r.At.Format("2006-01-02 15:04:05"), r.Actor, r.Action, r.Entity, r.Detail)
			}
			return err
		})
	show.Flags().IntVar(&limit, "limit", 50, "rows")
	verify := deskVerb("verify", "Check the hash chain of the audit trail", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			n, err := d.Ledger.VerifyAudit(ctx)
			if err != nil {
				return exitError{exitFound, err}
			}
			d.print(map[string]any{"rows": n, "ok": true}, "%d rows, chain unbroken", n)
			return nil
		})
	c.AddCommand(show, verify)
	return c
}
