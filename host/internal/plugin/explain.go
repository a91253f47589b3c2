package plugin

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
)

// explainStatus turns a failed call into a diagnostic; dead says that the
// plugin cannot be used further.
func explainStatus(name, what string, err error) (d diag.Diagnostic, dead bool) {
	s := status.Convert(err)
	switch s.Code() {
	case codes.DeadlineExceeded:
		return diag.Errorf("plugin_timeout", "the plugin %q did not answer in time while %s", name, what).
			Hint("It was stopped. Try again; if it hangs again, report it to the plugin's author with the component's arguments."), true
	case codes.Unavailable, codes.Canceled, codes.Aborted:
		return diag.Errorf("plugin_died", "the plugin %q ended while %s", name, what).
			Hint("Report it to the plugin's author with the component's arguments."), true
	case codes.Unimplemented:
		return diag.Errorf("plugin_protocol", "the plugin %q cannot do what hone asks while %s: %s", name, what, clean(s.Message(), 500)).
			Hint("It was built with an older SDK. Take a newer version of the plugin, or ask its author to rebuild it."), false
	case codes.ResourceExhausted:
		return diag.Errorf("plugin_graph", "the plugin %q answered more than %d MiB while %s", name, sdk.MaxMessageBytes>>20, what).
			Hint("Report it to the plugin's author: a component's graph must be small, large constants belong into parameters."), false
	}
	return diag.Errorf("plugin_call", "the plugin %q failed while %s: %w", name, what, fmt.Errorf("%s", clean(s.Message(), 1000))).
		Hint("Report it to the plugin's author."), false
}
