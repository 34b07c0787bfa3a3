// Package gate decides which of an image's candidates may be written: cheapest questions
// first, every refusal kept as a reason, the next candidate after a refused one.
package gate
