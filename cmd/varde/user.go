package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/internal/webui"
	"varde/study"
)

func userVerb() *cobra.Command {
	var role, name string
	var days int
	c := &cobra.Command{Use: "user", Short: "Let people and machines in"}
	token := deskVerb("token", "Make a bearer token; it is printed once and kept as a hash", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			t := study.Token{Role: role, Name: name, MadeAt: time.Now()}
			if days > 0 {
				t.Expires = t.MadeAt.AddDate(0, 0, days)
			}
			text, err := newToken(ctx, d, t)
			if err != nil {
				return err
			}
			d.print(map[string]any{"token": text, "role": role, "name": name}, "%s", text)
			return nil
		})
	token.Flags().StringVar(&role, "role", "", strings.Join(webui.Roles, ", "))
	token.Flags().StringVar(&name, "name", "", "who bears it, for the audit trail")
	token.Flags().IntVar(&days, "days", 365, "how long it holds; 0 for ever")
	_ = token.MarkFlagRequired("role")
	c.AddCommand(token)
	return c
}
