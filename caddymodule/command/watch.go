package command

import (
	_ "embed"
	"io"

	"github.com/spf13/cobra"
)

// Dashboard is a dashboard of Grafana over the metrics, Alerts are rules of Prometheus that alert by them.
var (
	//go:embed watch/dashboard.json
	Dashboard string
	//go:embed watch/alerts.yml
	Alerts string
)

// printed is a command that prints what is in the program.
func printed(use, short, example, text string) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), text)
			return err
		}),
	}
}

func dashboard() *cobra.Command {
	return printed("dashboard", "Prints a dashboard for Grafana", `  caddy authgate dashboard >authgate-dashboard.json`, Dashboard)
}

func alerts() *cobra.Command {
	return printed("alerts", "Prints alert rules for Prometheus", `  caddy authgate alerts >/etc/prometheus/rules/authgate.yml`, Alerts)
}
