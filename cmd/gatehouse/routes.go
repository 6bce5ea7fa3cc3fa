package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy/route"
)

func (p *program) routesCommand() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "routes",
		Short: "Print the table of routes in match order",
		Long: `Prints routes and rules as one table: the first row that fits a request
decides. The token endpoints come first, on every host. What no row fits is
answered 404.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.routes() },
	})
}

func (p *program) routes() error {
	loaded, err := p.load(nil)
	if err != nil {
		return told(loaded, err)
	}
	g, err := compile(loaded)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, endpoint := range g.endpoints {
		if strings.HasSuffix(endpoint.Path, "/") { // without the slash they only redirect
			rows = append(rows, []string{"*", endpoint.Path, "*", route.Public.String(), "gatehouse", "", "", "tokens"})
		}
	}
	for _, row := range g.gateway.Rows() {
		rows = append(rows, []string{
			cmp.Or(row.Host, "*"), row.Path, cmp.Or(strings.Join(row.Methods, ","), "*"), row.Policy.String(),
			row.To, row.ForwardedAs, strings.Join(row.With(), "; "), written(loaded, row),
		})
	}
	heads := []string{"HOST", "PATH", "METHODS", "AUTH", "TO", "FORWARDED AS", "WITH", "WRITTEN"}
	// Most sites need nothing beside auth.
	if with := slices.Index(heads, "WITH"); !slices.ContainsFunc(rows, func(row []string) bool { return row[with] != "" }) {
		heads = slices.Delete(heads, with, with+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], with, with+1)
		}
	}
	return table(p.stdout, heads, rows)
}

// written says where a row stands: the key, and the line of it.
func written(loaded *config.Loaded, row route.Row) string {
	key := config.Item("routes", row.RouteIndex)
	if row.RuleIndex >= 0 {
		key = config.Item(key+".rules", row.RuleIndex)
	}
	return loaded.Where(key)
}
