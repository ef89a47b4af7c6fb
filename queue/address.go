package queue

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"varde/study"
)

// masterKey is the part of a Sentinel's address that names who is watched.
const masterKey = "master"

// forms are the addresses that Open takes, for those who wrote another one.
const forms = "redis://host:port/0, redis+sentinel://host:port,host:port/0?master=name or redis+cluster://host:port,host:port"

// connect makes a client of the Redis, the Sentinels or the cluster at an
// address. No error holds any of it: there may be a password in it.
func connect(address string) (redis.UniversalClient, error) {
	scheme, rest, found := strings.Cut(address, "://")
	base, kind, _ := strings.Cut(scheme, "+")
	wrong := fmt.Errorf("open queue: no address like %s; use rediss for TLS: %w", forms, study.ErrInvalid)
	if !found || base != "redis" && base != "rediss" {
		return nil, wrong
	}
	// Several hosts are no URL: all but the first are taken out.
	authority, path := rest, ""
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		authority, path = rest[:at], rest[at:]
	}
	user := ""
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, authority = authority[:at+1], authority[at+1:]
	}
	hosts := strings.Split(authority, ",")
	if kind == "" && len(hosts) > 1 {
		return nil, wrong
	}
	u, err := url.Parse(base + "://" + user + hosts[0] + path)
	if err != nil {
		return nil, wrong
	}
	query := u.Query()
	master := query.Get(masterKey)
	query.Del(masterKey)
	u.RawQuery = query.Encode()
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, wrong
	}
	addrs := []string{o.Addr}
	for _, h := range hosts[1:] {
		if h == "" {
			return nil, wrong
		}
		if !strings.Contains(h, ":") {
			h += ":" + defaultPort(kind)
		}
		addrs = append(addrs, h)
	}
	if kind == "sentinel" && u.Port() == "" {
		addrs[0] = u.Hostname() + ":" + defaultPort(kind)
	}
	switch {
	case kind == "" && master == "":
		return redis.NewClient(o), nil
	case kind == "sentinel" && master != "":
		return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: master, SentinelAddrs: addrs,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			PoolSize: o.PoolSize, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout}), nil
	case kind == "cluster" && master == "" && o.DB == 0: // a cluster has no other
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs,
			Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
			PoolSize: o.PoolSize, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout}), nil
	}
	return nil, wrong
}

// defaultPort is where a Redis or its Sentinel listens when nothing else is said.
func defaultPort(kind string) string {
	if kind == "sentinel" {
		return "26379"
	}
	return "6379"
}
