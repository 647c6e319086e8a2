package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// logging is what is read of Caddy's logs.
type logging struct {
	Logs map[string]customLog `json:"logs"`
}

type customLog struct {
	Writer struct {
		Output string `json:"output"`
	} `json:"writer"`
	Encoder json.RawMessage `json:"encoder"`
	Include []string        `json:"include"`
	Exclude []string        `json:"exclude"`
}

// accessLogs is what is read of the access logs of a server.
type accessLogs struct {
	Default      string           `json:"default_logger_name"`
	Names        map[string]names `json:"logger_names"`
	SkipHosts    []string         `json:"skip_hosts"`
	SkipUnmapped bool             `json:"skip_unmapped_hosts"`
	Credentials  bool             `json:"should_log_credentials"`
}

// names may be written as a list or as one text.
type names []string

func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// keyField is where X-API-Key stands in an entry of an access log. Names of headers are as Go writes them there, and a filter
// that spells one in another way leaves out nothing.
const keyField = "request>headers>X-Api-Key"

// secretFields are where Caddy, when it is told to, writes what a session or a token could be used with.
var secretFields = []string{"request>headers>Authorization", "request>headers>Cookie", "resp_headers>Set-Cookie"}

// logged looks at what of the secrets that come to a gate is written into access logs.
func (w *walk) logged(g event) {
	logs := w.config.Apps.HTTP.Servers[g.server].Logs
	if logs == nil {
		return
	}
	here := w.site(g)
	if slices.ContainsFunc(w.events[:g.order], func(e event) bool { return e.kind == gates && e.server == g.server && w.site(e) == here }) {
		return // another gate of the site has been told of
	}
	leaks := false
	var secrets, misspelt []string
	for _, logger := range w.loggers(g, logs) {
		for _, log := range w.logs() {
			if !log.takes(logger) || log.Writer.Output == "discard" {
				continue
			}
			hidden, as := hides(log.Encoder, keyField)
			if !hidden {
				leaks = true
				misspelt = append(misspelt, as...)
			}
			for _, field := range secretFields {
				if hidden, _ := hides(log.Encoder, field); logs.Credentials && !hidden {
					secrets = append(secrets, field)
				}
			}
		}
	}
	if leaks {
		message := "the access log has X-API-Key as it comes, and personal access tokens come in it: who reads the log can use them"
		if len(misspelt) > 0 {
			slices.Sort(misspelt)
			message = fmt.Sprintf("the filter of the access log names %s, and the log says %s, so it leaves out nothing: personal access tokens come in X-API-Key, "+
				"and who reads the log can use them", misspelt[0], keyField)
		}
		w.find(Warning, "token_logged", g, message, "write in the log: format filter { "+keyField+" delete }")
		w.seek("log")
	}
	at := "apps/http/servers/" + g.server + "/logs"
	if len(secrets) == 0 || slices.ContainsFunc(w.findings, func(f Finding) bool { return f.Code == "credentials_logged" && f.At == at }) {
		return
	}
	slices.Sort(secrets)
	w.find(Warning, "credentials_logged", g, fmt.Sprintf("the access log has %s, with which who reads it can be whoever is signed in", strings.Join(slices.Compact(secrets), ", ")),
		"take log_credentials out of the global options, or have the log leave them out: format filter { <field> delete }")
	f := w.seek("log_credentials")
	f.At, f.Site, f.hosts = at, "", nil // it is said once for all sites
}

// logs answers the logs by name, that one too which there is where none is written.
func (w *walk) logs() map[string]customLog {
	all := maps.Clone(w.config.Logging.Logs)
	if _, ok := all["default"]; !ok {
		if all == nil {
			all = make(map[string]customLog)
		}
		all["default"] = customLog{}
	}
	return all
}

// loggers answers the names by which requests for a gate are logged; none: they certainly or perhaps are not.
func (w *walk) loggers(g event, logs *accessLogs) []string {
	var chosen names
	named := false
	for _, e := range w.before(g, notes) {
		skip := false
		if e.h.into("log_skip", &skip) && skip {
			return nil
		}
		named = e.h.into("access_logger_names", &chosen) || named
	}
	if !named {
		hosts := g.way.hosts()
		if len(hosts) == 0 && !logs.SkipUnmapped {
			chosen = append(chosen, logs.Default)
		}
		for _, host := range hosts {
			chosen = append(chosen, logs.of(host)...)
		}
	}
	var loggers []string
	for _, name := range chosen {
		logger := "http.log.access"
		if name != "" {
			logger += "." + name
		}
		loggers = append(loggers, logger)
	}
	return loggers
}

// of answers the names by which requests for a host are logged.
func (l *accessLogs) of(host string) []string {
	for _, written := range slices.Sorted(maps.Keys(l.Names)) {
		if strings.EqualFold(written, host) {
			return l.Names[written]
		}
	}
	for _, wild := range slices.Sorted(maps.Keys(l.Names)) {
		if hostWithin(host, wild) {
			return l.Names[wild]
		}
	}
	if l.SkipUnmapped || slices.ContainsFunc(l.SkipHosts, func(skipped string) bool { return hostWithin(host, skipped) }) {
		return nil
	}
	return []string{l.Default}
}

// takes reports whether a log takes what comes by a logger: the longest name in one of the lists decides.
func (l customLog) takes(logger string) bool {
	longest := func(list []string) int {
		n := 0
		for _, name := range list {
			if name == "*" || strings.HasPrefix(logger+".", name+".") {
				n = max(n, len(name))
			}
		}
		return n
	}
	in, out := longest(l.Include), longest(l.Exclude)
	return !slices.Contains(l.Exclude, "*") && (in > out || len(l.Include) == 0 && out == 0)
}

// hides reports whether an encoder leaves out a field, or perhaps does: what modules of others do is not known. as is what it
// names instead, in a spelling that no entry has.
func hides(encoder json.RawMessage, field string) (hidden bool, as []string) {
	for len(encoder) > 0 {
		var e struct {
			Format string `json:"format"`
			Fields map[string]struct {
				Filter string `json:"filter"`
			} `json:"fields"`
			Wrap json.RawMessage `json:"wrap"`
		}
		if json.Unmarshal(encoder, &e) != nil && e.Format != "append" { // that one has fields of another form
			return true, nil
		}
		switch e.Format {
		case "filter":
			for name, f := range e.Fields {
				switch {
				case f.Filter == "rename": // and stays what it is
				case name == field || strings.HasPrefix(field, name+">"):
					return true, nil
				case strings.EqualFold(name, field):
					as = append(as, name)
				}
			}
		case "append", "":
		case "json", "console":
			return false, as
		default:
			return true, nil
		}
		encoder = e.Wrap
	}
	return false, as
}

// seek says by which directive the finding that was added last is found.
func (w *walk) seek(words ...string) *Finding {
	f := &w.findings[len(w.findings)-1]
	f.seek, f.Source = words, ""
	return f
}
