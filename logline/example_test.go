package logline_test

import (
	"fmt"

	"berth/logline"
)

func ExampleParser_Parse() {
	var p logline.Parser
	for _, text := range []string{
		`{"time":"2026-08-20T10:00:07Z","level":"info","msg":"request","status":200}`,
		`level=warn msg="the disk is almost full"`,
		`Listening on port 8000`,
	} {
		line := p.Parse(text)
		fmt.Printf("%q: %s\n", line.Level, line.Message)
	}
	// Output:
	// "info": request
	// "WARN": level=warn msg="the disk is almost full"
	// "": Listening on port 8000
}

func ExampleLine_Each() {
	var p logline.Parser
	line := p.Parse(`{"msg":"request","method":"GET","level":"info","status":200}`)
	line.Each(func(name string, value []byte) {
		fmt.Printf("%s is %s\n", name, value)
	})
	// Output:
	// method is "GET"
	// status is 200
}

func ExampleSeverityOf() {
	fmt.Println(logline.SeverityOf("WARNING") > logline.SeverityOf("info"))
	// Output: true
}
