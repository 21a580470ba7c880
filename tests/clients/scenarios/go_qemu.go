// Debian's go-qemu in a scenario: go_qemu SOCKET.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

func say(kind string, value interface{}) {
	line, err := json.Marshal([]interface{}{kind, value})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func main() {
	// The limit is that of dialling only.
	monitor, err := qmp.NewSocketMonitor("unix", os.Args[1], 2*time.Second)
	if err == nil {
		err = monitor.Connect()
	}
	if err != nil {
		say("error", err.Error())
		return
	}
	for _, command := range []string{"query-status", "query-name", "quit"} {
		reply, err := monitor.Run([]byte(fmt.Sprintf(`{"execute": "%s"}`, command)))
		var result struct {
			Return json.RawMessage `json:"return"`
		}
		if err == nil {
			err = json.Unmarshal(reply, &result)
		}
		if err != nil {
			say("error", err.Error())
		} else {
			say("return", result.Return)
		}
	}
}
