package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
	"varde/store"
)

func configVerb() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show or check the settings"}
	var l settings.Loader
	l.Bind(c.PersistentFlags())
	var asJSON bool
	show := &cobra.Command{
		Use: "show", Short: "List every setting, its value and where it came from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := l.Load()
			v := reflect.ValueOf(l.Settings)
			for i := range v.NumField() {
				key := v.Type().Field(i).Tag.Get("toml")
				if key == "-" {
					continue
				}
				if asJSON {
					_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
						"key": key, "value": store.HideSecret(fmt.Sprint(v.Field(i))), "source": l.Source[key]})
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-14s %-42v # %s\n", key, store.HideSecret(fmt.Sprint(v.Field(i))), l.Source[key])
			}
			return err
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	check := &cobra.Command{
		Use: "check", Short: "Check the settings; every fault at once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := l.Load()
			for _, line := range settings.Misspelled(os.Environ()) {
				fmt.Fprintln(cmd.ErrOrStderr(), "WARN", line)
			}
			if err != nil {
				return exitError{exitFound, err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "settings are sound")
			return nil
		},
	}
	c.AddCommand(show, check)
	return c
}
