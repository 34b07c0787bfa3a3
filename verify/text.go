package verify

import "sealift.dev/internal/text"

// maxText bounds what a report quotes from the input, in bytes.
const maxText = 256

// clip cuts s to what a report may quote.
func clip(s string) string { return text.Clip(s, maxText) }

// clean makes text of a library's error, which may quote the input, fit for a report.
func clean(s string) string { return text.Line(s, maxText) }
