package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"varde/models/draft"
	"varde/models/modelcard"
)

// importModelVerb makes drafts of cards from what others publish.
func importModelVerb() *cobra.Command {
	c := &cobra.Command{Use: "import", Short: "Make a draft of a card.toml from what others publish of a model"}
	c.AddCommand(
		importVerb("chai FILE.xml", "From a CHAI Applied Model Card (XML)", draft.CHAI, nil),
		importVerb("monai FOLDER|metadata.json", "From the metadata of a MONAI bundle", draft.MONAI, []string{"configs/metadata.json", "metadata.json"}),
	)
	return c
}

// importVerb makes a verb that reads one file, or one of those in a folder.
func importVerb(use, short string, read func([]byte) (draft.Draft, error), inside []string) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				for _, name := range inside {
					if _, err := os.Stat(filepath.Join(args[0], name)); err == nil {
						path = filepath.Join(args[0], name)
						break
					}
				}
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("import a model card: %w", err)
			}
			d, err := read(b)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if to == "" {
				_, err = cmd.OutOrStdout().Write(d.TOML)
			} else {
				err = writeNew(filepath.Join(to, modelcard.CardFile), d.TOML)
			}
			for _, t := range d.Gaps {
				fmt.Fprintln(cmd.ErrOrStderr(), "to do:", t)
			}
			return err
		},
	}
	c.Flags().StringVar(&to, "to", "", "folder that card.toml is written into; empty for the standard output")
	return c
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; move it away first: %w", path, err)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
