// Package redisstore keeps the short-lived in Redis, for instances that share one gate: unanswered challenges, counted
// attempts, and the notices by which instances tell each other what has ended or changed. Redis may be one server, one with
// replicas behind a Sentinel, or a Cluster; 6.2 is the oldest that will do.
//
// What it promises:
//
//   - A challenge is taken out by one command, so of all instances one gets it; attempts are counted by one script each.
//     Every key lies in one slot by itself, so a Cluster needs no hash tags, and every key has a TTL.
//   - Whether something has expired is judged by the time that the caller gives. The server's TTL only cleans up, ten
//     minutes after: five so that who answers late is told so, and five for clocks that do not agree.
//   - Every call ends within Config.Timeout. Nothing is sent a second time that the server may have done already. While a
//     server does not answer, callers are refused at once, but for one now and then who finds out whether it is back.
//   - Whatever goes wrong is authcore.ErrUnavailable: a server that is down, paused, loading, full, read-only, that has
//     other passwords or other certificates. There is no verdict, and no other store in between. A full one still takes
//     challenges out, so whoever is signing in is let through.
//   - What says that the server cannot be reached never has a password in it.
//
// Where the primary has replicas, taking a challenge and sending a notice waits until one of them has it too, and else
// answers ErrUnavailable: so a failover brings back no challenge that was answered. A replica that has been silent for five
// seconds is not waited for, or one that hangs would keep everybody out; a challenge taken in that time can be answered a
// second time if the primary then dies and just that replica takes its place, until the challenge expires. The same holds
// for a challenge whose slot is just moving from one server of a Cluster to another. Counts are not
// waited for: a failover may forget the tries of the moments before it. A server that comes back empty has forgotten
// counts and suspensions; challenges are then asked for anew.
//
// What it will not do: keep accounts. And it cannot hinder a server from throwing away keys of its own accord, so
// maxmemory-policy is to be noeviction: under any other one a flood of challenges washes away what is counted against the
// flooder; Warnings tells. Memory needed is about 400 bytes for each challenge asked for within the last ten minutes and
// not answered; one client is let ask for no more than Config.MaxPerClient of them on each instance.
package redisstore
