package bucket

import (
	"context"
	"fmt"
	"io"
	"log"

	"berth/internal/s3test"
)

// exampleBucket is a new bucket of the tests' S3 server.
func exampleBucket(ctx context.Context) *Bucket {
	name, err := s3.CreateBucket(ctx)
	if err != nil {
		log.Fatal(err)
	}
	b, err := New(Options{
		Endpoint: "http://" + s3.Address, Region: "us-east-1", Name: name,
		AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, Prefix: "backups/",
	})
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// What a program writes becomes one object, whatever its size. It is there after
// Complete, and not at all after Abort.
func ExampleBucket_Upload() {
	ctx := context.Background()
	b := exampleBucket(ctx)

	const expected = 20 // bytes, roughly: they decide on the size of the parts
	u := b.Upload(ctx, "greeting", expected)
	if _, err := io.WriteString(u, "Hello from the bucket"); err != nil {
		log.Fatal(err)
	}
	if err := u.Complete(); err != nil {
		log.Fatal(err)
	}

	// A download that breaks off goes on from where it was.
	r, err := b.Open(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: Hello from the bucket
}

func ExampleBucket_List() {
	ctx := context.Background()
	b := exampleBucket(ctx)
	for _, name := range []string{"a", "folder/b", "folder/c"} {
		if err := b.Put(ctx, name, []byte("data")); err != nil {
			log.Fatal(err)
		}
	}
	for object, err := range b.List(ctx, ListOptions{Below: "folder/"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(object.Name, object.Size)
	}
	// Output:
	// folder/b 4
	// folder/c 4
}
