package pathway

import (
	"slices"
	"time"
)

// Easter is Easter Sunday of a year, in the Gregorian calendar.
func Easter(year int) time.Time {
	golden := year % 19 // the moon's years
	century, rest := year/100, year%100
	leapless := century / 4
	moon := (19*golden + century - leapless - (century-(century+8)/25+1)/3 + 15) % 30
	weekday := (32 + 2*(century%4) + 2*(rest/4) - moon - rest%4) % 7
	late := (golden + 11*moon + 22*weekday) / 451
	n := moon + weekday - 7*late + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}

// Countries lists those whose holidays are known, as ISO 3166 has them.
func Countries() []string { return []string{"DK", "NO"} }

func known(country string) bool { return slices.Contains(Countries(), country) }

// Holidays lists the public holidays of a country in a year as days, sorted; some
// of them are Sundays. Of a country that is not known there are none.
func Holidays(country string, year int) []string {
	if !known(country) {
		return nil
	}
	easter := Easter(year)
	days := []time.Time{
		time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 25, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 26, 0, 0, 0, 0, time.UTC),
	}
	// Maundy Thursday, Good Friday, Easter, Easter Monday, Ascension, Whitsun, Whit Monday
	for _, after := range []int{-3, -2, 0, 1, 39, 49, 50} {
		days = append(days, easter.AddDate(0, 0, after))
	}
	switch {
	case country == "NO":
		days = append(days, time.Date(year, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 5, 17, 0, 0, 0, 0, time.UTC))
	case year < 2024: // Great Prayer Day was done away with after 2023
		days = append(days, easter.AddDate(0, 0, 26))
	}
	var all []string
	for _, d := range days {
		all = append(all, d.Format(Day))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
