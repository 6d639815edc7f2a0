package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/filter"
)

// words are the functions of the templates.
var words = template.FuncMap{
	"moment": moment, "rfc3339": rfc3339, "day": day, "minute": minute, "span": span, "bytes": bytesInWords, "count": count, "number": number, "number64": func(n int64) string { return number(int(n)) },
	"percent": percent, "failures": failures, "objectURL": objectURL, "fields": filter.Fields, "evidence": evidenceOf, "sentence": sentence, "tone": toneOf, "short": short, "tab": tabOf, "devices": devicesURL, "equal": equal, "where": where,
}

// moment is a time to the second in UTC, as every page shows it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// minute is a time that nobody knows better: an estimate moves with every look.
func minute(t time.Time) string { return t.UTC().Round(time.Minute).Format("2006-01-02 15:04") }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// span is a duration in its two largest units.
func span(d time.Duration) string {
	if d < 0 {
		return "–" + span(-d)
	}
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0 && hours > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case days > 0:
		return fmt.Sprintf("%d d", days)
	case hours > 0 && minutes > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%d h", hours)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

func bytesInWords(n int64) string {
	const unit = 1 << 10
	switch {
	case n >= unit*unit:
		return fmt.Sprintf("%.1f MiB", float64(n)/(unit*unit))
	case n >= unit:
		return fmt.Sprintf("%.1f KiB", float64(n)/unit)
	}
	return count(int(n), "byte")
}

// number is a count with thin spaces between thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return number(n) + " " + thing + "s"
}

// short is the beginning of a digest or key id, enough to recognize it.
func short(digest fmt.Stringer) string {
	text := digest.String()
	return text[:min(len(text), 12)]
}

// sentenceCase begins an error's words as a sentence.
func sentenceCase(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// tab is an entry of the navigation.
type tab struct {
	URL, Name string
	Here      bool
}

func tabOf(p *page, section, url, name string) tab { return tab{url, name, p.Section == section} }

// percent is a part of a whole, never 100 % before all are there.
func percent(part, whole int) string {
	switch {
	case whole == 0:
		return ""
	case part > 0 && part*200 < whole:
		return "< 1 %"
	case part < whole && part*200 >= whole*199:
		return "> 99 %"
	}
	return strconv.Itoa((part*100+whole/2)/whole) + " %"
}

// evidenceOf says whose word an event of a device's life is.
func evidenceOf(e api.LifeEvent) string {
	switch e.Evidence {
	case api.EvidenceReport:
		return "its authenticated report"
	case api.EvidenceCheck:
		return "its authenticated check"
	case api.EvidenceClaim:
		return "somebody's claim"
	case api.EvidenceServer:
		return "the server"
	}
	return e.Actor
}
