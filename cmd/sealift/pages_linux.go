package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// returnPages gives pages of the program file back to the kernel: starting touches most
// of them once, and what runs on needs a part, which is mapped again when it is used.
// It is a matter of thrift: where it fails, nothing is lost but memory.
func returnPages() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, m := range constantMappings(string(maps), program) {
		// Only addresses are passed on: nothing here reads or writes through them.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.begin, m.end-m.begin, syscall.MADV_DONTNEED)
	}
}

// anywhere is from where on the kernel places a program that works at any address.
const anywhere uint64 = 1 << 32

// mapping is a range of addresses.
type mapping struct{ begin, end uintptr }

// constantMappings are those of a file's mappings that nobody can have written to, so
// that the file still holds all of it. The text is that of /proc/PID/maps. Where a loader
// linked the program to libraries, or the program moved itself, addresses were written to
// the pages before the writable ones, which became read-only afterwards: the file does not
// hold those.
func constantMappings(maps, file string) []mapping {
	var found []mapping
	linked, relocated := false, -1 // the place of what the loader may have written to
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) != 6 || fields[5] != file {
			linked = linked || len(fields) == 6 && strings.HasPrefix(fields[5], "/")
			continue
		}
		if strings.HasPrefix(fields[1], "rw") && relocated < 0 {
			relocated = len(found) - 1
		}
		if !strings.HasPrefix(fields[1], "r-") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= begin {
			continue
		}
		linked = linked || begin >= anywhere
		found = append(found, mapping{uintptr(begin), uintptr(end)})
	}
	if linked && relocated >= 0 {
		return slices.Delete(found, relocated, relocated+1)
	}
	return found
}
