package worldlist_test

import (
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
)

func TestShots(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1500, 900, "en")
	b.Go(entry)
	b.Until(`document.querySelector('#rows tr')`)
	b.Keys("j")
	b.Shot("worklist")
	b.Promises()
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown`)
	b.Shot("ct")
	b.Promises()
	for name, uid := range map[string]string{"mg": string(mammogram), "sm": string(prostate), "failed": string(failedCT), "partial": string(unseenCT), "us": string(undecodable), "derm": string(dermatology), "out": string(outOfScope)} {
		b.Go(server.URL + "/studies/" + uid)
		webuitest.Eval[any](b, `new Promise(d => setTimeout(d, 700))`)
		b.Shot(name)
		b.Promises()
	}
	b.Go(server.URL + "/studies/" + string(prostate))
	b.Until(`document.querySelector('#stage').dataset.shown`)
	b.Click("[data-go]")
	webuitest.Eval[any](b, `new Promise(d => setTimeout(d, 900))`)
	b.Shot("sm-zoom")
	b.Click("button[value=dark]")
	b.Until(`document.documentElement.dataset.theme === 'dark' && document.querySelector('#stage').dataset.shown`)
	b.Click("button[value=da]")
	b.Until(`document.documentElement.lang === 'da' && document.querySelector('#stage').dataset.shown`)
	b.Shot("sm-dark-da")
	b.Go(server.URL)
	b.Shot("worklist-dark-da")
	b.Promises()
}
