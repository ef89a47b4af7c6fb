package store_test

import (
	"testing"

	"varde/store/storetest"
)

func TestSearchOnSQLite(t *testing.T) { storetest.TestSearch(t, openSQLite) }
