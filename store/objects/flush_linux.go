package objects

import (
	"os"
	"syscall"
)

// syncRangeWrite is SYNC_FILE_RANGE_WRITE of sync_file_range(2): begin to write,
// and wait for nothing.
const syncRangeWrite = 2

// beginFlush asks the system to begin bringing a stretch of a file to the disk. It
// is no promise: that is what Sync is for, which then has less to wait for.
func beginFlush(f *os.File, off, n int64) {
	_ = syscall.SyncFileRange(int(f.Fd()), off, n, syncRangeWrite) // Sync will tell
}
