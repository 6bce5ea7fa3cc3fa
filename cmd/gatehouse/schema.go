package main

import (
	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
)

func (p *program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Prints the JSON Schema (draft 7) of the configuration, with what each key is for
and its default. An editor completes and explains the keys with it:

  gatehouse schema > gatehouse.schema.json

and as the first line of gatehouse.yaml

  # yaml-language-server: $schema=gatehouse.schema.json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.printJSON(config.Schema()) },
	}
}
