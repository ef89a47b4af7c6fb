package house

import (
	"context"

	"varde/ingest"
	"varde/ingest/upload"
	folder "varde/ingest/watch"
	"varde/internal/webui"
	"varde/oversight"
	"varde/worldlist"
)

// parts lists what brings pages. Files are handed in only where studies are taken
// in.
func (h *House) parts() []webui.Part {
	parts := worldlist.Parts()
	if h.Has("ingest") {
		parts = append(parts, upload.Part())
	}
	return append(parts, oversight.Parts()...)
}

// addUpload adds the page on which files are handed in.
func (h *House) addUpload(receiver *ingest.Receiver, traffic *ingest.Traffic) {
	upload.Pages{Receiver: h.countedWeb(receiver), Slides: h.slideKeeper(receiver, traffic), Ended: traffic.StudiesEnded, Log: h.log}.Add(h.Site)
}

// watch takes in what is put into the watched folder, until ctx ends.
func (h *House) watch(ctx context.Context, receiver *ingest.Receiver, traffic *ingest.Traffic) error {
	w := &folder.Watcher{Receiver: h.countedWeb(receiver), Slides: h.slideKeeper(receiver, traffic), Folder: h.Watch,
		Ended: traffic.StudiesEnded, Log: h.log}
	return w.Run(ctx)
}
