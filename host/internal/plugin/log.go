package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// logLine writes one line of a plugin's standard error: a record of hclog with
// its level, anything else as information. It returns the message.
func logLine(l zerolog.Logger, line []byte) string {
	line = bytes.TrimSpace(line)
	text := clean(string(line), maxLine)
	if len(line) > 0 && line[0] == '{' {
		var record map[string]any
		if json.Unmarshal(line, &record) == nil {
			message, ok := record["@message"].(string)
			if ok {
				level, _ := record["@level"].(string)
				delete(record, "@message")
				delete(record, "@level")
				delete(record, "@timestamp")
				l.WithLevel(levelOf(level)).Fields(record).Msg(clean(message, maxLine))
				return message
			}
		}
	}
	l.Info().Msg(text)
	return text
}

func levelOf(s string) zerolog.Level {
	switch hclog.LevelFromString(s) {
	case hclog.Trace:
		return zerolog.TraceLevel
	case hclog.Debug:
		return zerolog.DebugLevel
	case hclog.Warn:
		return zerolog.WarnLevel
	case hclog.Error:
		return zerolog.ErrorLevel
	}
	return zerolog.InfoLevel
}

// lineLogger logs what a plugin prints after its handshake.
type lineLogger struct {
	log    zerolog.Logger
	stream string
}

func (l *lineLogger) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if t := bytes.TrimSpace(line); len(t) > 0 {
			l.log.Info().Str("stream", l.stream).Msg(clean(string(t), maxLine))
		}
	}
	return len(p), nil
}

// hclogTo gives go-plugin a logger. What it has to say is for whoever debugs
// plugins, so its informational messages are debug ones here.
func hclogTo(l zerolog.Logger) hclog.Logger { return &hclogger{log: l} }

type hclogger struct {
	log  zerolog.Logger
	name string
	args []any
}

func (h *hclogger) write(level hclog.Level, msg string, args []any) {
	z := zerolog.DebugLevel
	if level <= hclog.Trace {
		z = zerolog.TraceLevel
	}
	e := h.log.WithLevel(z)
	if e == nil || h.log.GetLevel() > z {
		return
	}
	all := append(append([]any(nil), h.args...), args...)
	for i := 0; i+1 < len(all); i += 2 {
		e = e.Str(fmt.Sprint(all[i]), clean(fmt.Sprint(all[i+1]), 500))
	}
	e.Msg(msg)
}

func (h *hclogger) Log(l hclog.Level, msg string, args ...any) { h.write(l, msg, args) }
func (h *hclogger) Trace(msg string, args ...any)              { h.write(hclog.Trace, msg, args) }
func (h *hclogger) Debug(msg string, args ...any)              { h.write(hclog.Debug, msg, args) }
func (h *hclogger) Info(msg string, args ...any)               { h.write(hclog.Info, msg, args) }
func (h *hclogger) Warn(msg string, args ...any)               { h.write(hclog.Warn, msg, args) }
func (h *hclogger) Error(msg string, args ...any)              { h.write(hclog.Error, msg, args) }
func (h *hclogger) IsTrace() bool                              { return h.log.GetLevel() <= zerolog.TraceLevel }
func (h *hclogger) IsDebug() bool                              { return h.log.GetLevel() <= zerolog.DebugLevel }
func (h *hclogger) IsInfo() bool                               { return h.IsDebug() }
func (h *hclogger) IsWarn() bool                               { return h.IsDebug() }
func (h *hclogger) IsError() bool                              { return h.IsDebug() }
func (h *hclogger) ImpliedArgs() []any                         { return h.args }
func (h *hclogger) Name() string                               { return h.name }
func (h *hclogger) SetLevel(hclog.Level)                       {}

func (h *hclogger) With(args ...any) hclog.Logger {
	return &hclogger{h.log, h.name, append(append([]any(nil), h.args...), args...)}
}

func (h *hclogger) Named(name string) hclog.Logger      { return &hclogger{h.log, name, h.args} }
func (h *hclogger) ResetNamed(name string) hclog.Logger { return h.Named(name) }

func (h *hclogger) GetLevel() hclog.Level {
	switch {
	case h.IsTrace():
		return hclog.Trace
	case h.IsDebug():
		return hclog.Debug
	}
	return hclog.Off
}

func (h *hclogger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(h.StandardWriter(o), "", 0)
}

func (h *hclogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return &lineLogger{log: h.log, stream: "log"}
}
